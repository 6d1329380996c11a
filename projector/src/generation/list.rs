//! Listing and dropping generations for operators.

use read_model::{
    generation::drop_generation,
    locks::{is_rebuilding, lock_schema, try_lock_rebuilds_in_transaction},
    operate::generations::{self, GenerationRow},
};
use service_kit::settings::Settings;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// The number.
    pub id: i32,
    /// `building`, `live` or `retired`.
    pub state: String,
    /// When its tables were created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it became the live one.
    #[serde(with = "time::serde::rfc3339::option")]
    pub promoted_at: Option<OffsetDateTime>,
    /// The number of the log that it is folded from, counted from 1.
    pub log_epoch: i32,
    /// Whether searches use its postings. A live generation without them was made by an earlier
    /// release, and is searched by its old indexes.
    pub has_postings: bool,
    /// The folded offsets of both topics.
    pub folded: i64,
    /// Whether it is `building` although no rebuild is running: the rebuild failed, or was killed.
    #[serde(rename = "abandoned")]
    pub is_abandoned: bool,
}

/// All generations, oldest first.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn generations(settings: &Settings) -> anyhow::Result<Vec<Generation>> {
    let pool = read_model::pool(settings)?;
    let rows = generations::list(&pool).await?;
    let is_rebuilding = is_rebuilding(&pool).await?;
    pool.close().await;
    let generation = |row: GenerationRow| {
        let is_abandoned = row.state == "building" && !is_rebuilding;
        let GenerationRow { id, state, created_at, promoted_at, log_epoch, has_postings, folded } = row;
        Generation { id, state, created_at, promoted_at, log_epoch, has_postings, folded, is_abandoned }
    };
    Ok(rows.into_iter().map(generation).collect())
}

/// Drops a generation with its tables, if nothing needs it: a retired one, or one that a rebuild
/// left behind. The last one of a former log is only dropped with `last_of_its_log`.
///
/// # Errors
/// There is no such generation, it is live, a rebuild is running, or PostgreSQL can't be asked.
pub async fn drop_unused(settings: &Settings, generation: i32, last_of_its_log: bool) -> anyhow::Result<()> {
    let pool = read_model::pool(settings)?;
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    check_unused(&mut transaction, generation, last_of_its_log).await?;
    drop_generation(&mut transaction, generation).await?;
    transaction.commit().await?;
    pool.close().await;
    Ok(())
}

async fn check_unused(
    connection: &mut PgConnection,
    generation: i32,
    last_of_its_log: bool,
) -> anyhow::Result<()> {
    let state = generations::state(connection, generation).await?;
    let is_last = generations::is_last_of_another_log(connection, generation).await?;
    anyhow::ensure!(
        last_of_its_log || !is_last,
        "generation {generation} is the last one folded from a former log, and without that log no rebuild can restore it: if you don't \
         need it, pass --last-of-its-log"
    );
    match state.as_deref() {
        Some("retired") => Ok(()),
        Some("live") => anyhow::bail!("generation {generation} is the live one"),
        Some(_) if try_lock_rebuilds_in_transaction(connection).await? => Ok(()),
        Some(_) => anyhow::bail!("generation {generation} is being built: a rebuild is at work"),
        None => anyhow::bail!("there is no generation {generation}"),
    }
}
