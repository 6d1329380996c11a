//! Advisory locks of the read model.

use sqlx::{PgConnection, PgPool};

/// The lock for schema changes: one migration, rebuild step or promotion at a time.
const SCHEMA_LOCK: i64 = 0x726f_6c6c_6361_6c6c;

/// The lock for rebuilds: one at a time.
const REBUILD_LOCK: i64 = SCHEMA_LOCK + 1;

/// Waits for the lock for schema changes, and holds it until the transaction ends.
///
/// # Errors
/// The statement failed.
pub async fn lock_schema(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK).execute(connection).await.map(drop)
}

/// Takes the lock for rebuilds for as long as the connection lives. `false` if a rebuild is
/// running.
///
/// # Errors
/// The query failed.
pub async fn try_lock_rebuilds(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(REBUILD_LOCK).fetch_one(connection).await
}

/// Takes the lock for rebuilds until the transaction ends. `false` if a rebuild is running.
///
/// # Errors
/// The query failed.
pub async fn try_lock_rebuilds_in_transaction(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(REBUILD_LOCK).fetch_one(connection).await
}

/// Whether a rebuild is running. Its lock ends with the connection of the process that took it.
///
/// # Errors
/// The query failed.
pub async fn is_rebuilding(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (classid::bigint << 32) + objid::bigint = $1)",
    )
    .bind(REBUILD_LOCK)
    .fetch_one(pool)
    .await
}
