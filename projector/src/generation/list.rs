//! What an operator asks of generations.

use read_model::{
    generation::drop_generation,
    migrate::{self, REBUILD_LOCK},
};
use service_kit::settings::Settings;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// Its number.
    pub id: i32,
    /// `building`, `live` or `retired`.
    pub state: String,
    /// When it was begun.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it became the live one.
    #[serde(with = "time::serde::rfc3339::option")]
    pub promoted_at: Option<OffsetDateTime>,
    /// Which log it is folded from, counted from 1.
    pub log_epoch: i32,
    /// Offsets that it has folded, of both topics.
    pub folded: i64,
    /// Whether it is `building` and no rebuild is at work: the one that made it was killed, or failed.
    #[serde(rename = "abandoned")]
    pub is_abandoned: bool,
}

type Row = (i32, String, OffsetDateTime, Option<OffsetDateTime>, i32, i64);

/// Every generation, the oldest first.
///
/// # Errors
/// Postgres can't be asked.
pub async fn generations(settings: &Settings) -> anyhow::Result<Vec<Generation>> {
    let pool = read_model::pool(settings)?;
    let all: Vec<Row> = sqlx::query_as(
        "SELECT g.id, g.state, g.created_at, g.promoted_at, g.log_epoch, coalesce(sum(c.next_offset), 0)::bigint AS folded \
         FROM rollcall.generations g LEFT JOIN rollcall.checkpoints c ON c.generation = g.id GROUP BY g.id ORDER BY g.id",
    )
    .fetch_all(&pool)
    .await?;
    let is_rebuilding = is_rebuilding(&pool).await?;
    pool.close().await;
    let generation = |(id, state, created_at, promoted_at, log_epoch, folded): Row| {
        let is_abandoned = state == "building" && !is_rebuilding;
        Generation { id, state, created_at, promoted_at, log_epoch, folded, is_abandoned }
    };
    Ok(all.into_iter().map(generation).collect())
}

/// Whether somebody holds the lock of rebuilds: it goes with the connection of the process that took it.
async fn is_rebuilding(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (classid::bigint << 32) + objid::bigint = $1)",
    )
    .bind(REBUILD_LOCK)
    .fetch_one(pool)
    .await
}

/// Keeps rebuilds from beginning until the transaction ends; `false`: one is at work.
async fn hold_rebuilds(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(REBUILD_LOCK).fetch_one(connection).await
}

/// Whether a generation is the last one of a log that the live generation is not folded from: then it may be all that is left of that log.
const IS_LAST_OF_ANOTHER_LOG: &str = "\
    SELECT log_epoch <> (SELECT log_epoch FROM rollcall.generations WHERE state = 'live') AND NOT EXISTS \
        (SELECT FROM rollcall.generations o WHERE o.log_epoch = g.log_epoch AND o.id <> g.id AND o.state <> 'building') \
    FROM rollcall.generations g WHERE id = $1";

/// Drops a generation with its tables that nobody needs: a retired one, or one that a rebuild left behind; the last one of a former log only
/// where that is said.
///
/// # Errors
/// There is no such generation, it is live or a rebuild is at work on it, or Postgres can't be asked.
pub async fn drop_unused(settings: &Settings, generation: i32, last_of_its_log: bool) -> anyhow::Result<()> {
    let pool = read_model::pool(settings)?;
    let mut transaction = pool.begin().await?;
    migrate::lock(&mut transaction).await?;
    let state: Option<String> = sqlx::query_scalar("SELECT state FROM rollcall.generations WHERE id = $1")
        .bind(generation)
        .fetch_optional(&mut *transaction)
        .await?;
    let is_last: Option<bool> =
        sqlx::query_scalar(IS_LAST_OF_ANOTHER_LOG).bind(generation).fetch_optional(&mut *transaction).await?;
    anyhow::ensure!(
        last_of_its_log || is_last != Some(true),
        "generation {generation} is the last one that is folded from a former log, and no rebuild brings it back unless that log is there: if \
         it is not needed, say --last-of-its-log"
    );
    match state.as_deref() {
        Some("retired") => drop_generation(&mut transaction, generation).await?,
        Some("live") => anyhow::bail!("generation {generation} is the live one"),
        Some(_) if hold_rebuilds(&mut transaction).await? => {
            drop_generation(&mut transaction, generation).await?;
        }
        Some(_) => anyhow::bail!("generation {generation} is being built: a rebuild is at work"),
        None => anyhow::bail!("there is no generation {generation}"),
    }
    transaction.commit().await?;
    pool.close().await;
    Ok(())
}
