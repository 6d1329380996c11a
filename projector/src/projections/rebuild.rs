//! A rebuild: a new generation of a projection is folded from the beginning of the log, and follows
//! from then on.

use super::{
    definition_of,
    folder::Folder,
    generations::{follows, live},
    named,
    promote::switch_to,
    verify::compare_with_live,
};
use crate::generation::{NAMED_USERS, Pace, Phase, Progress, RebuildOptions, RebuildReport, Source};
use anyhow::{Context as _, bail, ensure};
use key_store::Keys;
use projections::Registered;
use read_model::{
    generation::GenerationState,
    locks::{FoldLock, Subject, Verb, VerbLock, lock_schema},
    projections::{
        self as store, GenerationId,
        create::{self, Beginning},
        generations::{self, GenerationRow},
    },
};
use service_kit::{failpoint, settings::Settings};
use sqlx::PgPool;
use std::time::Instant;

/// The most offsets of a partition that a round folds.
const ROUND: i64 = 5_000;

/// Folds the log into a new generation until it is level. With `promote`, compares it with the live one
/// and makes it the live one if they are equal.
///
/// # Errors
/// Another verb is at work, the log has lost its beginning, a record can't be folded, or Kafka or
/// PostgreSQL fails. The live generation is untouched then.
pub async fn rebuild(
    settings: &Settings,
    name: &str,
    options: RebuildOptions,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<RebuildReport> {
    let started = Instant::now();
    let (projection, pool) = (named(name)?, store::pool(settings)?);
    let subject = Subject::Projection(projection.name);
    let lock = VerbLock::take(&pool, subject, Verb::Rebuild).await?;
    let source = Source::open(settings, &pool, options.from_cut).await?;
    ensure!(
        !source.is_another,
        "the users are folded from another log than the one in Kafka: `rollcall projection rebuild` comes first"
    );
    let comparable = live(&pool, name).await?.is_some_and(|live| follows(&live, projection));
    check_proof(&pool, projection, &options).await?;
    let generation = match options.resume {
        true => interrupted(&pool, projection).await?,
        false => create_generation(&pool, projection, &source).await?,
    };
    let records = build(settings, &pool, projection, generation, &mut progress).await?;
    let (also_built, outdated) = also_built(&pool, projection, generation).await?;
    // It sets nothing aside: it stops.
    let mut report = RebuildReport {
        generation,
        built: true,
        records,
        cuts: source.cuts.clone(),
        comparable,
        also_built,
        outdated,
        ..RebuildReport::default()
    };
    if options.promote {
        promote_if_equal(settings, &pool, projection, &options, &mut report, &mut progress).await?;
    }
    lock.release().await?;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

async fn build(
    settings: &Settings,
    pool: &PgPool,
    projection: &'static Registered,
    generation: i32,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<u64> {
    let id = GenerationId { projection: projection.name, generation };
    let lock = FoldLock::wait(pool, id).await?;
    let mut folder = Folder::new(settings, pool, &Keys::open(settings)?, projection, generation);
    folder.round_size = ROUND;
    folder.pace = Pace::new(settings.rebuild_rate);
    let folded = folder.fold_all(None, |round| {
        failpoint::hit("projection.round");
        let done = u64::try_from(round.folded()).unwrap_or_default();
        let total = u64::try_from(round.folded() + round.behind()).unwrap_or_default();
        progress(Progress { generation, phase: Phase::Folding, done, total });
    });
    folded.await?;
    generations::set_built(pool, id).await?;
    lock.release().await?;
    Ok(folder.records)
}

/// Other generations that were built: those that follow, and those of another fold or log, which
/// don't.
async fn also_built(
    pool: &PgPool,
    projection: &Registered,
    generation: i32,
) -> anyhow::Result<(Vec<i32>, Vec<i32>)> {
    let all = generations::list(pool, projection.name).await?;
    let others =
        all.into_iter().filter(|row| row.state == GenerationState::Built && row.generation != generation);
    let (follow, outdated): (Vec<_>, Vec<_>) = others.partition(|row| follows(row, projection));
    let ids = |rows: Vec<GenerationRow>| rows.into_iter().map(|row| row.generation).collect();
    Ok((ids(follow), ids(outdated)))
}

/// Checks before the long fold that the new generation can be compared with the live one in the
/// end, if it has to be.
async fn check_proof(pool: &PgPool, projection: &Registered, options: &RebuildOptions) -> anyhow::Result<()> {
    if !options.promote || options.unverified {
        return Ok(());
    }
    let (name, resume) = (projection.name, if options.resume { " --resume" } else { "" });
    let other = live(pool, name).await?.filter(|live| !follows(live, projection));
    match other {
        None => Ok(()),
        Some(live) => bail!(
            "the live generation {} was made by another fold or from another log, so a new one can't be compared with it. Nothing was \
             changed: run `rollcall projection rebuild --projection {name}{resume} --promote --unverified`",
            live.generation
        ),
    }
}

/// A live generation of another fold or log has nothing that the new one could be compared with, so an
/// operator has to insist.
async fn promote_if_equal(
    settings: &Settings,
    pool: &PgPool,
    projection: &'static Registered,
    options: &RebuildOptions,
    report: &mut RebuildReport,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let generation = report.generation;
    if !options.unverified && live(pool, projection.name).await?.is_some() {
        let verified =
            compare_with_live(settings, pool, projection, generation, NAMED_USERS, progress).await?;
        if !report.verified.insert(verified).is_equal {
            return Ok(());
        }
    }
    let switched = switch_to(settings, pool, projection, generation, progress).await?;
    (report.retired, report.dropped) = (switched.old, switched.dropped);
    report.promoted = true;
    Ok(())
}

/// Creates the tables of the new generation, and drops what an interrupted rebuild has left.
async fn create_generation(
    pool: &PgPool,
    projection: &'static Registered,
    source: &Source<'_>,
) -> anyhow::Result<i32> {
    let name = projection.name;
    let left =
        generations::list(pool, name).await?.into_iter().filter(|row| row.state == GenerationState::Building);
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    for row in left {
        create::drop(&mut transaction, GenerationId { projection: name, generation: row.generation }).await?;
    }
    let log_epoch =
        generations::users_log_epoch(&mut transaction).await?.context("there is no live generation")?;
    let offsets = create::first_offsets(&source.partitions, &source.first_offsets);
    let beginning = Beginning { log_epoch, offsets };
    let definition = definition_of(projection);
    let generation =
        create::create(&mut transaction, &definition, &beginning, GenerationState::Building).await?;
    transaction.commit().await?;
    Ok(generation)
}

/// The generation that an interrupted rebuild has left, if this build can finish it.
async fn interrupted(pool: &PgPool, projection: &'static Registered) -> anyhow::Result<i32> {
    let name = projection.name;
    let all = generations::list(pool, name).await?;
    let left = all.iter().rev().find(|row| row.state == GenerationState::Building);
    let built = all.iter().rev().find(|row| row.state == GenerationState::Built && follows(row, projection));
    let left = left.with_context(|| {
        let next = built.map_or_else(
            || format!("`rollcall projection rebuild --projection {name}` begins one"),
            |built| {
                format!(
                    "Generation {0} is built: `rollcall projection promote {0} --projection {name}`",
                    built.generation
                )
            },
        );
        format!("there is nothing to resume: no rebuild was interrupted while it folded. {next}")
    })?;
    ensure!(
        follows(left, projection),
        "generation {} was begun by another fold or from another log, so it can't be finished. `rollcall projection rebuild --projection \
         {name}` drops it and begins anew",
        left.generation
    );
    Ok(left.generation)
}
