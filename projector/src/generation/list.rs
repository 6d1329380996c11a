//! Listing and dropping generations for operators.

use read_model::{
    generation::{GenerationState, drop_generation},
    locks::{FoldLock, Subject, lock_schema, try_lock_verbs_in_transaction, verb_at_work},
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
    /// Its state.
    pub state: GenerationState,
    /// When its tables were created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it had the whole log and its indexes.
    #[serde(with = "time::serde::rfc3339::option")]
    pub built_at: Option<OffsetDateTime>,
    /// When it was last found equal to the live one of that time.
    #[serde(with = "time::serde::rfc3339::option")]
    pub verified_at: Option<OffsetDateTime>,
    /// When it was last found different from the live one of that time, if it was not found equal
    /// since.
    #[serde(with = "time::serde::rfc3339::option")]
    pub differed_at: Option<OffsetDateTime>,
    /// The digest of that time.
    pub digest: Option<String>,
    /// When it became the live one.
    #[serde(with = "time::serde::rfc3339::option")]
    pub promoted_at: Option<OffsetDateTime>,
    /// The number of the log that it is folded from, counted from 1.
    pub log_epoch: i32,
    /// The fold that has made it.
    pub fold_version: i32,
    /// A hash of the statements that made its tables. `None`: an earlier release has made it.
    pub schema_hash: Option<String>,
    /// Whether searches use its postings. A live generation without them was made by an earlier
    /// release, and is searched by its old indexes.
    pub has_postings: bool,
    /// The folded offsets of both topics.
    pub folded: i64,
    /// How many offsets it is behind the live one. `None`: it is folded from another log, and does
    /// not follow.
    pub lag: Option<i64>,
    /// The size of its tables and indexes, in bytes.
    pub bytes: i64,
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
    let is_rebuilding =
        verb_at_work(&pool, Subject::Users).await?.is_some_and(|at_work| at_work.is_rebuild());
    pool.close().await;
    Ok(rows.into_iter().map(|row| generation(row, is_rebuilding)).collect())
}

fn generation(row: GenerationRow, is_rebuilding: bool) -> Generation {
    Generation {
        is_abandoned: row.state == GenerationState::Building && !is_rebuilding,
        id: row.id,
        state: row.state,
        created_at: row.created_at,
        built_at: row.built_at,
        verified_at: row.verified_at,
        differed_at: row.differed_at,
        digest: row.digest,
        promoted_at: row.promoted_at,
        log_epoch: row.log_epoch,
        fold_version: row.fold_version,
        schema_hash: row.schema_hash,
        has_postings: row.has_postings,
        folded: row.folded,
        lag: row.lag,
        bytes: row.bytes,
    }
}

/// Drops a generation with its tables, if nothing needs it: one that is built or retired, or that a
/// rebuild left behind. The last one of a former log is only dropped with `last_of_its_log`.
///
/// # Errors
/// There is no such generation, it is live, a verb is at work on it, or PostgreSQL can't be asked.
pub async fn drop_unused(settings: &Settings, generation: i32, last_of_its_log: bool) -> anyhow::Result<()> {
    let pool = read_model::pool(settings)?;
    check_unused(&mut *pool.begin().await?, generation, last_of_its_log).await?;
    let lock = FoldLock::wait(&pool, generation).await?;
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    check_unused(&mut transaction, generation, last_of_its_log).await?;
    drop_generation(&mut transaction, generation).await?;
    transaction.commit().await?;
    lock.release().await?;
    pool.close().await;
    Ok(())
}

/// Says which verb works on a generation.
pub(crate) async fn in_use(
    connection: &mut PgConnection,
    subject: Subject<'_>,
    what: &str,
) -> sqlx::Result<String> {
    Ok(match verb_at_work(connection, subject).await? {
        Some(at_work) => format!("{what} is in use: {at_work}"),
        None => format!("{what} was in use a moment ago: try again"),
    })
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
    match state {
        Some(GenerationState::Retired) => Ok(()),
        Some(GenerationState::Live) => {
            anyhow::bail!("generation {generation} is the live one: promote another one first")
        }
        Some(_) if try_lock_verbs_in_transaction(connection, Subject::Users).await? => Ok(()),
        Some(_) => {
            anyhow::bail!(in_use(connection, Subject::Users, &format!("generation {generation}")).await?)
        }
        None => anyhow::bail!("there is no generation {generation}: `rollcall projection list` shows all"),
    }
}
