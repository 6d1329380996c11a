//! The pause. While its row exists, no projector folds, even after a restart.

use crate::{generation, locks::lock_schema};
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

/// Who paused the projectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedBy {
    /// The limit on newly parked users.
    Limit,
    /// An operator.
    Operator,
    /// A log that is not the one that was folded.
    Log,
    /// Tables that contradict themselves.
    ReadModel,
}

impl PausedBy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Operator => "operator",
            Self::Log => "log",
            Self::ReadModel => "read-model",
        }
    }
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pause {
    /// Why the projectors are paused.
    pub reason: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// `limit`, `operator`, `log` or `read-model`.
    pub by: String,
}

type Columns = (String, OffsetDateTime, String);

impl From<Columns> for Pause {
    fn from((reason, since, by): Columns) -> Self {
        Self { reason, since, by }
    }
}

/// The pause, if there is one.
///
/// # Errors
/// The query failed.
pub async fn find(executor: impl PgExecutor<'_>) -> sqlx::Result<Option<Pause>> {
    let select = "SELECT reason, since, by FROM rollcall.pause";
    let row: Option<Columns> = sqlx::query_as(select).fetch_optional(executor).await?;
    Ok(row.map(Pause::from))
}

/// Pauses the projectors, unless they are paused. Returns whether they were not.
///
/// Once it returns, nothing more is folded: the row and the new epochs are in one transaction,
/// behind the locks of the live checkpoints, which every commit and every takeover needs. A commit
/// in progress is waited for, and a later one fails at the fence.
///
/// # Errors
/// A statement failed.
pub async fn insert(pool: &PgPool, by: PausedBy, reason: &str) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    // Another generation must not become the live one meanwhile.
    lock_schema(&mut transaction).await?;
    let live = generation::live(&mut transaction).await?;
    if let Some(live) = live {
        lock_checkpoints(&mut transaction, live).await?;
    }
    let insert = "INSERT INTO rollcall.pause (reason, by) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let inserted = sqlx::query(insert).bind(reason).bind(by.as_str()).execute(&mut *transaction).await?;
    let is_new = inserted.rows_affected() > 0;
    if is_new && let Some(live) = live {
        fence_off_owners(&mut transaction, live).await?;
    }
    transaction.commit().await?;
    Ok(is_new)
}

/// Changes the reason of the pause if it was made by `by`.
///
/// # Errors
/// The statement failed.
pub async fn update_reason(pool: &PgPool, by: PausedBy, reason: &str) -> sqlx::Result<()> {
    let update = "UPDATE rollcall.pause SET reason = $2 WHERE by = $1 AND reason <> $2";
    sqlx::query(update).bind(by.as_str()).bind(reason).execute(pool).await.map(drop)
}

/// Removes the pause if it was made by `by`.
///
/// # Errors
/// The statement failed.
pub async fn delete(connection: &mut PgConnection, by: PausedBy) -> sqlx::Result<()> {
    let delete = "DELETE FROM rollcall.pause WHERE by = $1";
    sqlx::query(delete).bind(by.as_str()).execute(connection).await.map(drop)
}

/// Removes the pause and returns it, if there was one. From then on, newly parked users are counted
/// again.
///
/// # Errors
/// The statement failed.
pub async fn resume(pool: &PgPool) -> sqlx::Result<Option<Pause>> {
    let row: Option<Columns> = sqlx::query_as(
        "WITH pause AS (DELETE FROM rollcall.pause RETURNING reason, since, by), \
             resumed AS (INSERT INTO rollcall.resumed (at) SELECT now() FROM pause \
                 ON CONFLICT (is_one) DO UPDATE SET at = excluded.at) \
         SELECT reason, since, by FROM pause",
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Pause::from))
}

/// Locks all checkpoints of a generation, in the order that everybody uses.
async fn lock_checkpoints(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    let lock = "SELECT FROM rollcall.checkpoints WHERE generation = $1 ORDER BY topic, partition FOR UPDATE";
    sqlx::query(lock).bind(generation).execute(connection).await.map(drop)
}

async fn fence_off_owners(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    let update = "UPDATE rollcall.checkpoints SET epoch = epoch + 1, owner = NULL, owned_since = NULL WHERE generation = $1";
    sqlx::query(update).bind(generation).execute(connection).await.map(drop)
}
