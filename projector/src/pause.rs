//! The pause. While its row exists, no projector folds, even after a restart.

use read_model::{generation, migrate};
use service_kit::settings::Settings;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// Who paused the projectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The limit on parking.
    Limit,
    /// An operator.
    Operator,
    /// A log that is not the one that was folded.
    Log,
    /// Tables that contradict themselves.
    ReadModel,
}

impl By {
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
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// `limit`, `operator`, `log` or `read-model`.
    pub by: String,
}

/// What a request for a pause has led to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Paused {
    /// The pause.
    pub paused: Pause,
    /// Whether it was there before, so that nothing was to be done.
    pub already: bool,
}

/// The pause, if there is one.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn read(pool: &PgPool) -> sqlx::Result<Option<Pause>> {
    let row = sqlx::query_as("SELECT reason, since, by FROM rollcall.pause").fetch_optional(pool).await?;
    Ok(row.map(|(reason, since, by)| Pause { reason, since, by }))
}

/// Pauses the projectors, unless they are paused; whether they were not.
///
/// Once it returns, nothing more is folded, whatever a projector has in hand: the row and the closed fence are one transaction, behind the locks
/// of the live checkpoints, which every commit and every takeover needs. A commit that is under way is waited for; a later one is refused.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn write(pool: &PgPool, by: By, reason: &str) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    // Another generation must not become the live one meanwhile.
    migrate::lock(&mut transaction).await?;
    let live = generation::live(&mut transaction).await?;
    if let Some(live) = live {
        hold(&mut transaction, live).await?;
    }
    let insert = "INSERT INTO rollcall.pause (reason, by) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let inserted = sqlx::query(insert).bind(reason).bind(by.as_str()).execute(&mut *transaction).await?;
    let is_new = inserted.rows_affected() > 0;
    if is_new && let Some(live) = live {
        close_fence(&mut transaction, live).await?;
    }
    transaction.commit().await?;
    Ok(is_new)
}

/// Takes back a pause of somebody, if there is one.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn lift(connection: &mut PgConnection, by: By) -> sqlx::Result<()> {
    let lift = "DELETE FROM rollcall.pause WHERE by = $1";
    sqlx::query(lift).bind(by.as_str()).execute(connection).await.map(drop)
}

/// Locks all checkpoints of a generation, in the order that everybody has.
async fn hold(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    let lock = "SELECT FROM rollcall.checkpoints WHERE generation = $1 ORDER BY topic, partition FOR UPDATE";
    sqlx::query(lock).bind(generation).execute(connection).await.map(drop)
}

async fn close_fence(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    let bump = "UPDATE rollcall.checkpoints SET epoch = epoch + 1, owner = NULL, owned_since = NULL WHERE generation = $1";
    sqlx::query(bump).bind(generation).execute(connection).await.map(drop)
}

/// Pauses the projectors for an operator, unless they are paused; nothing more is folded once it returns. `None`: somebody resumed it at once.
///
/// # Errors
/// Postgres can't be asked.
pub async fn pause(settings: &Settings, reason: &str) -> anyhow::Result<Option<Paused>> {
    let pool = read_model::pool(settings)?;
    let already = !write(&pool, By::Operator, reason).await?;
    Ok(read(&pool).await?.map(|paused| Paused { paused, already }))
}

/// Lets the projectors go on; gives the pause that there was.
///
/// # Errors
/// Postgres can't be asked.
pub async fn resume(settings: &Settings) -> anyhow::Result<Option<Pause>> {
    // From here on the parked are counted anew.
    let resume = "WITH pause AS (DELETE FROM rollcall.pause RETURNING reason, since, by), \
        resumed AS (INSERT INTO rollcall.resumed (at) SELECT now() FROM pause ON CONFLICT (is_one) DO UPDATE SET at = excluded.at) \
        SELECT reason, since, by FROM pause";
    let row = sqlx::query_as(resume).fetch_optional(&read_model::pool(settings)?).await?;
    Ok(row.map(|(reason, since, by)| Pause { reason, since, by }))
}

/// The pause, if there is one.
///
/// # Errors
/// Postgres can't be asked.
pub async fn paused(settings: &Settings) -> anyhow::Result<Option<Pause>> {
    Ok(read(&read_model::pool(settings)?).await?)
}
