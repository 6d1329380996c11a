//! How far a projection is folded, and why it is not, for operators.

use super::{ProjectionGeneration, generations::generations, named, names};
use crate::pause::Pause;
use events_schema::Topic;
use projections::Registered;
use read_model::{
    generation::GenerationState,
    operate::checkpoints::live as live_checkpoints,
    projections::{
        self as store, GenerationId,
        failures::{self, Failure},
        generations::checkpoints,
        pause,
    },
};
use service_kit::settings::Settings;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The status of a projection.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionStatus {
    /// The name.
    pub projection: &'static str,
    /// The pause, if it is paused.
    pub paused: Option<Pause>,
    /// The live generation. `None`: none was created yet.
    pub generation: Option<i32>,
    /// The version of this release's fold.
    pub fold_version: i32,
    /// Why the live generation does not follow, if it can't, and what to do.
    pub note: Option<String>,
    /// How many offsets the live generation is behind the users.
    pub lag: Option<i64>,
    /// Failures that are not over.
    pub failures: Vec<ProjectionFailure>,
    /// The partitions of the live generation.
    pub partitions: Vec<ProjectionPartition>,
    /// All generations.
    pub generations: Vec<ProjectionGeneration>,
}

/// Why a generation does not follow.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionFailure {
    /// The projection.
    pub projection: String,
    /// The generation. 0: the first one can't be created.
    pub generation: i32,
    /// The reason.
    pub reason: String,
    /// The record that can't be folded, if it is known: `users:<partition>:<offset>`.
    pub record: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// When it was last tried.
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
}

/// A partition of the live generation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionPartition {
    /// The partition of `users.events`.
    pub partition: i32,
    /// The first offset that is not folded.
    pub next_offset: i64,
    /// The first offset that the users have not folded.
    pub users_next: Option<i64>,
    /// The number of offsets between the two.
    pub lag: Option<i64>,
    /// Kafka's time of the last folded record.
    #[serde(with = "time::serde::rfc3339::option")]
    pub record_time: Option<OffsetDateTime>,
}

/// The status of a projection.
///
/// # Errors
/// There is no such projection, or PostgreSQL can't be asked.
pub async fn status(settings: &Settings, name: &str) -> anyhow::Result<ProjectionStatus> {
    let (projection, pool) = (named(name)?, store::pool(settings)?);
    let generations = generations(settings, name).await?;
    let live = generations.iter().find(|one| one.state == GenerationState::Live).cloned();
    let partitions = match &live {
        Some(live) => {
            partitions(&pool, GenerationId { projection: projection.name, generation: live.id }).await?
        }
        None => Vec::new(),
    };
    // Of the same moment as the partitions, which are shown beside it.
    let lag = live.as_ref().and_then(|live| live.lag);
    let lag = lag.map(|_| partitions.iter().filter_map(|partition| partition.lag).sum());
    let note = live.as_ref().and_then(|live| note(projection, live));
    let failures = failures::all(&pool).await?.into_iter().filter(|failure| failure.projection == name);
    let status = ProjectionStatus {
        projection: projection.name,
        paused: pause::find(&pool, projection.name).await?,
        generation: live.as_ref().map(|live| live.id),
        fold_version: projection.fold_version,
        note,
        lag,
        failures: failures.map(failure).collect(),
        partitions,
        generations,
    };
    pool.close().await;
    Ok(status)
}

/// The status of every projection.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn all(settings: &Settings) -> anyhow::Result<Vec<ProjectionStatus>> {
    let mut all = Vec::new();
    for name in names() {
        all.push(status(settings, name).await?);
    }
    Ok(all)
}

/// Why the live generation does not follow, and what to do.
fn note(projection: &Registered, live: &ProjectionGeneration) -> Option<String> {
    let why = if live.fold_version != projection.fold_version {
        format!(
            "was made by fold {}, and this release has fold {}",
            live.fold_version, projection.fold_version
        )
    } else if live.lag.is_none() {
        "is folded from another log than the users".to_owned()
    } else {
        return None;
    };
    let (id, name) = (live.id, projection.name);
    Some(format!(
        "generation {id} {why}, so it does not follow: `rollcall projection rebuild --projection {name} --promote --unverified` replaces it"
    ))
}

/// The failures of all projections that are not over.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn failures(settings: &Settings) -> anyhow::Result<Vec<ProjectionFailure>> {
    let pool = store::pool(settings)?;
    let all = failures::all(&pool).await?;
    pool.close().await;
    Ok(all.into_iter().map(failure).collect())
}

fn failure(row: Failure) -> ProjectionFailure {
    let Failure { projection, generation, reason, record, since, last_at } = row;
    let record = record.map(|(partition, offset)| format!("{}:{partition}:{offset}", Topic::Users));
    ProjectionFailure { projection, generation, reason, record, since, last_at }
}

async fn partitions(pool: &sqlx::PgPool, id: GenerationId) -> anyhow::Result<Vec<ProjectionPartition>> {
    let users = live_checkpoints(pool).await?.into_iter().filter(|row| row.topic == Topic::Users);
    let users: BTreeMap<i32, i64> = users.map(|row| (row.partition, row.next_offset)).collect();
    let partition = |(partition, next_offset, record_time): (i32, i64, Option<OffsetDateTime>)| {
        let users_next = users.get(&partition).copied();
        let lag = users_next.map(|users_next| (users_next - next_offset).max(0));
        ProjectionPartition { partition, next_offset, users_next, lag, record_time }
    };
    Ok(checkpoints(pool, id).await?.into_iter().map(partition).collect())
}
