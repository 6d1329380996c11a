//! Advisory locks of the read model.

use sqlx::{Connection as _, PgConnection, PgPool};
use time::OffsetDateTime;

/// The lock for schema changes: one migration, rebuild step or promotion at a time.
const SCHEMA_LOCK: i64 = 0x726f_6c6c_6361_6c6c;

/// The lock of the verbs that work on generations: one at a time.
const VERB_LOCK: i64 = SCHEMA_LOCK + 1;

/// The locks of those who fold a generation that is not live, one for each generation.
const FOLD_LOCKS: i32 = 0x666f_6c64;

/// Waits for the lock for schema changes, and holds it until the transaction ends.
///
/// # Errors
/// The statement failed.
pub async fn lock_schema(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK).execute(connection).await.map(drop)
}

/// The verb that is at work on generations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{verb}` is at work since {since}: wait until it ends")]
pub struct VerbAtWork {
    /// Its name.
    pub verb: String,
    /// Since when.
    pub since: OffsetDateTime,
}

/// The lock of the verbs that work on generations, held until it is released or the process ends.
pub struct VerbLock(PgConnection);

impl VerbLock {
    /// Takes the lock. `verb` is shown to whoever wants it meanwhile.
    ///
    /// # Errors
    /// Another verb is at work ([`VerbAtWork`]), or PostgreSQL can't be asked.
    pub async fn take(pool: &PgPool, verb: &str) -> anyhow::Result<Self> {
        let mut connection = pool.acquire().await?.detach();
        let name = sqlx::query("SELECT set_config('application_name', $1, false)");
        name.bind(verb).execute(&mut connection).await?;
        let take = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(VERB_LOCK);
        if take.fetch_one(&mut connection).await? {
            return Ok(Self(connection));
        }
        match verb_at_work(pool).await? {
            Some(other) => Err(other.into()),
            None => anyhow::bail!("another verb was at work on generations and has just ended: try again"),
        }
    }

    /// Releases the lock.
    ///
    /// # Errors
    /// PostgreSQL can't be reached any more.
    pub async fn release(self) -> sqlx::Result<()> {
        self.0.close().await
    }
}

/// Takes the lock of the verbs until the transaction ends. `false` if a verb is at work.
///
/// # Errors
/// The query failed.
pub async fn try_lock_verbs_in_transaction(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(VERB_LOCK).fetch_one(connection).await
}

/// The verb that is at work on generations. Its lock ends with the connection of the process that
/// took it.
///
/// # Errors
/// The query failed.
pub async fn verb_at_work(pool: &PgPool) -> sqlx::Result<Option<VerbAtWork>> {
    let row: Option<(String, OffsetDateTime)> = sqlx::query_as(
        "SELECT coalesce(nullif(a.application_name, ''), 'another verb'), coalesce(a.backend_start, now()) \
         FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (l.classid::bigint << 32) + l.objid::bigint = $1",
    )
    .bind(VERB_LOCK)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(verb, since)| VerbAtWork { verb, since }))
}

/// The right to fold a generation that is not live, until it is released or the process ends.
pub struct FoldLock(PgConnection);

impl FoldLock {
    /// Waits until nobody else folds the generation.
    ///
    /// # Errors
    /// PostgreSQL fails or can't be reached.
    pub async fn wait(pool: &PgPool, generation: i32) -> sqlx::Result<Self> {
        let mut connection = pool.acquire().await?.detach();
        sqlx::query("SELECT pg_advisory_lock($1, $2)")
            .bind(FOLD_LOCKS)
            .bind(generation)
            .execute(&mut connection)
            .await?;
        Ok(Self(connection))
    }

    /// Takes the right, unless somebody else has it.
    ///
    /// # Errors
    /// PostgreSQL fails or can't be reached.
    pub async fn take(pool: &PgPool, generation: i32) -> sqlx::Result<Option<Self>> {
        let mut connection = pool.acquire().await?.detach();
        let take = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)");
        let is_taken = take.bind(FOLD_LOCKS).bind(generation).fetch_one(&mut connection).await?;
        Ok(if is_taken { Some(Self(connection)) } else { None })
    }

    /// Releases it.
    ///
    /// # Errors
    /// PostgreSQL can't be reached any more.
    pub async fn release(self) -> sqlx::Result<()> {
        self.0.close().await
    }
}
