//! Listing and dropping the generations of a projection, and choosing one for a verb.

use super::named;
use crate::generation::{Which, in_use};
use anyhow::{Context as _, bail, ensure};
use projections::Registered;
use read_model::{
    generation::GenerationState,
    locks::{FoldLock, Subject, lock_schema, try_lock_verbs_in_transaction, verb_at_work},
    projections::{
        self as store, GenerationId, create,
        generations::{self, GenerationRow},
    },
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use time::OffsetDateTime;

/// A generation of a projection.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionGeneration {
    /// The number.
    pub id: i32,
    /// Its state.
    pub state: GenerationState,
    /// When its tables were created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it had the whole log.
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
    /// The version of the fold that has made it.
    pub fold_version: i32,
    /// The folded offsets of `users.events`.
    pub folded: i64,
    /// How many offsets it is behind the users. `None`: it is folded from another log, and does not
    /// follow.
    pub lag: Option<i64>,
    /// Records of parked users that it has passed. It folds them once they are reprocessed.
    pub waiting: i64,
    /// The size of its tables and indexes, in bytes.
    pub bytes: i64,
    /// Whether it is `building` although no rebuild is running: the rebuild failed, or was killed.
    #[serde(rename = "abandoned")]
    pub is_abandoned: bool,
}

/// All generations of a projection, oldest first.
///
/// # Errors
/// There is no such projection, or PostgreSQL can't be asked.
pub async fn generations(settings: &Settings, name: &str) -> anyhow::Result<Vec<ProjectionGeneration>> {
    let (projection, pool) = (named(name)?, store::pool(settings)?);
    let rows = generations::list(&pool, projection.name).await?;
    let at_work = verb_at_work(&pool, Subject::Projection(projection.name)).await?;
    pool.close().await;
    let is_rebuilding = at_work.is_some_and(|at_work| at_work.is_rebuild());
    Ok(rows.into_iter().map(|row| generation(row, is_rebuilding)).collect())
}

fn generation(row: GenerationRow, is_rebuilding: bool) -> ProjectionGeneration {
    ProjectionGeneration {
        is_abandoned: row.state == GenerationState::Building && !is_rebuilding,
        id: row.generation,
        state: row.state,
        created_at: row.created_at,
        built_at: row.built_at,
        verified_at: row.verified_at,
        differed_at: row.differed_at,
        digest: row.digest,
        promoted_at: row.promoted_at,
        log_epoch: row.log_epoch,
        fold_version: row.fold_version,
        folded: row.folded,
        lag: row.lag,
        waiting: row.waiting,
        bytes: row.bytes,
    }
}

/// Drops a generation of a projection with its tables, unless it is the live one.
///
/// # Errors
/// There is no such generation, it is live, a verb is at work on it, or PostgreSQL can't be asked.
pub async fn drop_unused(settings: &Settings, name: &str, generation: i32) -> anyhow::Result<()> {
    let (projection, pool) = (named(name)?, store::pool(settings)?);
    let id = GenerationId { projection: projection.name, generation };
    let state = find(&pool, id).await?.state;
    ensure!(state != GenerationState::Live, "{id} is the live one");
    let mut transaction = pool.begin().await?;
    let subject = Subject::Projection(id.projection);
    if state != GenerationState::Retired && !try_lock_verbs_in_transaction(&mut transaction, subject).await? {
        bail!(in_use(&mut transaction, subject, &id.to_string()).await?);
    }
    let lock = FoldLock::wait(&pool, id).await?;
    lock_schema(&mut transaction).await?;
    create::drop(&mut transaction, id).await?;
    transaction.commit().await?;
    lock.release().await?;
    pool.close().await;
    Ok(())
}

pub(super) async fn find(pool: &PgPool, id: GenerationId) -> anyhow::Result<GenerationRow> {
    let found =
        generations::list(pool, id.projection).await?.into_iter().find(|row| row.generation == id.generation);
    found.with_context(|| {
        format!("there is no {id}: `rollcall projection list --projection {}` shows all", id.projection)
    })
}

/// The live generation of a projection, if there is one.
pub(super) async fn live(pool: &PgPool, projection: &str) -> sqlx::Result<Option<GenerationRow>> {
    Ok(generations::list(pool, projection).await?.into_iter().find(|row| row.state == GenerationState::Live))
}

/// Whether a generation follows: this build has its fold, and it is of the log of the users.
pub(super) fn follows(row: &GenerationRow, projection: &Registered) -> bool {
    row.fold_version == projection.fold_version && row.lag.is_some()
}

/// The generation that a verb is about, if this build can fold it.
pub(super) async fn candidate(
    pool: &PgPool,
    projection: &'static Registered,
    which: Which,
) -> anyhow::Result<GenerationRow> {
    let name = projection.name;
    let found = match which {
        Which::Built(Some(generation)) => find(pool, GenerationId { projection: name, generation }).await?,
        Which::Built(None) => {
            let mut all = generations::list(pool, name).await?.into_iter().rev();
            all.find(|row| row.state == GenerationState::Built).with_context(|| {
                format!("no generation is built and waiting: `rollcall projection rebuild --projection {name}` builds one")
            })?
        }
        Which::Former => {
            let all = generations::list(pool, name)
                .await?
                .into_iter()
                .filter(|row| row.state == GenerationState::Retired);
            all.max_by_key(|row| row.promoted_at).with_context(|| {
                format!("there is no retired generation to go back to: `rollcall projection list --projection {name}` shows all")
            })?
        }
    };
    let generation = found.generation;
    ensure!(
        found.state != GenerationState::Building,
        "generation {generation} is not built yet: wait for its rebuild, or finish it with `rollcall projection rebuild --projection \
         {name} --resume`"
    );
    ensure!(
        found.fold_version == projection.fold_version,
        "generation {generation} was made by fold {}, and this release has fold {}: it can't fold or ask that generation. `rollcall \
         projection rebuild --projection {name} --promote --unverified` replaces it",
        found.fold_version,
        projection.fold_version
    );
    ensure!(found.lag.is_some(), "generation {generation} is folded from another log than the users");
    Ok(found)
}
