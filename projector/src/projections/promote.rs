//! The switch from the live generation of a projection to another one, in one transaction.

use super::{
    generations::{candidate, follows, live},
    hold::Held,
    named,
    verify::comparable_live,
};
use crate::generation::{Phase, Progress, PromoteOptions, PromoteReport, Which, unproved};
use anyhow::bail;
use projections::Registered;
use read_model::{
    generation::GenerationState,
    locks::{FoldLock, Subject, VerbLock, lock_schema},
    projections::{self as store, GenerationId, create, generations},
};
use service_kit::{errors, settings::Settings};
use sqlx::PgPool;
use std::time::Instant;

/// The result of a switch.
#[derive(Default)]
pub(super) struct Switched {
    /// The generation that was live.
    pub(super) old: Option<i32>,
    /// Whether that one follows.
    pub(super) old_follows: bool,
    /// The retired generations that were dropped.
    pub(super) dropped: Vec<i32>,
}

/// Makes a built or retired generation the live one. Brings it level first, so nobody sees an older
/// state than before.
///
/// # Errors
/// There is no such generation, it is not verified, another verb is at work, or Kafka or PostgreSQL
/// fails. The live generation is untouched then.
pub async fn promote(
    settings: &Settings,
    name: &str,
    options: PromoteOptions,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<PromoteReport> {
    let started = Instant::now();
    let (projection, pool) = (named(name)?, store::pool(settings)?);
    let subject = Subject::Projection(projection.name);
    let lock = VerbLock::take(&pool, subject, options.which.verb()).await?;
    let found = candidate(&pool, projection, options.which).await?;
    let generation = found.generation;
    let needs_proof =
        found.state == GenerationState::Built && options.which != Which::Former && !options.unverified;
    if needs_proof && found.verified_at.is_none() {
        comparable_live(&pool, projection, generation).await?;
        bail!(unproved(generation, found.differed_at, &format!(" --projection {name}")));
    }
    let switched = match found.state {
        GenerationState::Live => Switched::default(),
        _ => switch_to(settings, &pool, projection, generation, &mut progress).await?,
    };
    lock.release().await?;
    Ok(PromoteReport {
        generation,
        promoted: true,
        retired: switched.old,
        retired_follows: switched.old_follows,
        dropped: switched.dropped,
        seconds: started.elapsed().as_secs_f64(),
        ..PromoteReport::default()
    })
}

/// Brings a generation level and makes it the live one.
pub(super) async fn switch_to(
    settings: &Settings,
    pool: &PgPool,
    projection: &'static Registered,
    generation: i32,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<Switched> {
    let id = GenerationId { projection: projection.name, generation };
    let live = live(pool, projection.name).await?;
    let old_follows = live.as_ref().is_some_and(|live| follows(live, projection));
    let old = live.map(|live| live.generation);
    let mut held = Held::wait(settings, pool, projection, [old.unwrap_or(generation), generation]).await?;
    let mut before = None;
    held.other
        .fold_all(None, |round| {
            let done = round.folded() - *before.get_or_insert(round.folded());
            let total = u64::try_from(done + round.behind()).unwrap_or_default();
            let done = u64::try_from(done).unwrap_or_default();
            progress(Progress { generation, phase: Phase::Folding, done, total });
        })
        .await?;
    progress(Progress { generation, phase: Phase::Promoting, done: 0, total: 0 });
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    generations::set_live(&mut transaction, id).await?;
    transaction.commit().await?;
    held.release().await?;
    let mut dropped = Vec::new();
    if let Err(error) = drop_superseded(pool, projection.name, old, &mut dropped).await {
        tracing::warn!(
            error = errors::describe_error(error.as_ref()),
            "dropping older generations of a projection failed"
        );
    }
    Ok(Switched { old, old_follows, dropped })
}

/// Of the retired generations, only the last is kept.
async fn drop_superseded(
    pool: &PgPool,
    projection: &'static str,
    last: Option<i32>,
    dropped: &mut Vec<i32>,
) -> anyhow::Result<()> {
    let retired = generations::list(pool, projection).await?.into_iter();
    for row in retired.filter(|row| row.state == GenerationState::Retired && Some(row.generation) != last) {
        let id = GenerationId { projection, generation: row.generation };
        let lock = FoldLock::wait(pool, id).await?;
        let mut transaction = pool.begin().await?;
        lock_schema(&mut transaction).await?;
        create::drop(&mut transaction, id).await?;
        transaction.commit().await?;
        dropped.push(row.generation);
        lock.release().await?;
    }
    Ok(())
}
