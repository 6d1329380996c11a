//! Reclaims the space of deleted rows soon after their deletion, without waiting for autovacuum's
//! threshold.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::time::{Duration, Instant};

/// How long to wait for transactions that can still see deleted rows: as long as one of our
/// statements may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval between checks.
const INTERVAL: Duration = Duration::from_millis(100);

/// The next transaction id: whatever is deleted by now was deleted by an older transaction.
const NEXT: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text";

/// Whether no transaction can still see rows that were deleted before that id, as far as we may see
/// other sessions.
const IS_INVISIBLE: &str = "\
SELECT NOT EXISTS (SELECT FROM ( \
    SELECT unnest(ARRAY[backend_xid, backend_xmin]) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
    UNION ALL SELECT unnest(ARRAY[xmin, catalog_xmin]) FROM pg_replication_slots \
    UNION ALL SELECT transaction FROM pg_prepared_xacts WHERE database = current_database() \
) held(by) WHERE by IS NOT NULL AND age(by) > age($1::text::xid))";

/// Opens a dedicated connection with the pool's options and no statement timeout. It does not
/// assume a role: only the tables' owner may vacuum.
///
/// # Errors
/// The database can't be reached.
pub async fn connect(pool: &PgPool) -> sqlx::Result<PgConnection> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
    Ok(connection)
}

/// Vacuums these tables and their indexes, however few rows were deleted. Returns whether
/// everything deleted by now was reclaimed: a long-running transaction may still see some of it.
///
/// # Errors
/// The statement fails.
pub async fn reclaim(connection: &mut PgConnection, tables: &[String]) -> sqlx::Result<bool> {
    let next: String = sqlx::query_scalar(NEXT).fetch_one(&mut *connection).await?;
    let is_invisible = is_invisible(connection, &next).await?;
    let vacuum = format!("VACUUM (INDEX_CLEANUP ON) {}", tables.join(", "));
    sqlx::raw_sql(AssertSqlSafe(vacuum)).execute(connection).await?;
    Ok(is_invisible)
}

async fn is_invisible(connection: &mut PgConnection, next: &str) -> sqlx::Result<bool> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let is_invisible = sqlx::query_scalar(IS_INVISIBLE).bind(next).fetch_one(&mut *connection).await?;
        if is_invisible || Instant::now() >= give_up {
            return Ok(is_invisible);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
