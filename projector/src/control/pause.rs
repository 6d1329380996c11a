//! The pause: while its row is there no projector folds, whoever wrote it and however often one is restarted.

use crate::store::postgres;
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

/// The pause, if there is one.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn read(pool: &PgPool) -> sqlx::Result<Option<Pause>> {
    let row = sqlx::query_as("SELECT reason, since, by FROM rollcall.pause").fetch_optional(pool).await?;
    Ok(row.map(|(reason, since, by)| Pause { reason, since, by }))
}

/// Pauses the projectors, unless they are paused.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn write(pool: &PgPool, by: By, reason: &str) -> sqlx::Result<()> {
    let insert = "INSERT INTO rollcall.pause (reason, by) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    sqlx::query(insert).bind(reason).bind(by.as_str()).execute(pool).await.map(drop)
}

/// Takes back a pause of somebody, if there is one.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn lift(connection: &mut PgConnection, by: By) -> sqlx::Result<()> {
    let lift = "DELETE FROM rollcall.pause WHERE by = $1";
    sqlx::query(lift).bind(by.as_str()).execute(connection).await.map(drop)
}

/// Pauses the projectors for an operator; gives the pause that there is then, which may be an earlier one.
///
/// # Errors
/// Postgres can't be asked.
pub async fn pause(settings: &Settings, reason: &str) -> anyhow::Result<Option<Pause>> {
    let pool = postgres::pool(settings)?;
    write(&pool, By::Operator, reason).await?;
    Ok(read(&pool).await?)
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
    let row = sqlx::query_as(resume).fetch_optional(&postgres::pool(settings)?).await?;
    Ok(row.map(|(reason, since, by)| Pause { reason, since, by }))
}

/// The pause, if there is one.
///
/// # Errors
/// Postgres can't be asked.
pub async fn paused(settings: &Settings) -> anyhow::Result<Option<Pause>> {
    Ok(read(&postgres::pool(settings)?).await?)
}
