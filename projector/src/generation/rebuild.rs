//! A rebuild: a new generation is folded from the beginning of the log, and follows the live one
//! from then on. Reads continue throughout.

use super::{
    Pace, SetAside,
    build::build,
    follower::{Follower, TooManyParked, live_offsets},
    live,
    promote::{Promotion, switch_to},
    report::{Progress, RebuildOptions, RebuildReport},
    resume::interrupted,
    source::Source,
    verify::{VerifyReport, compare_with_live},
};
use crate::pipeline::parking_limit;
use anyhow::Context as _;
use event_log::identity;
use events_schema::Topic;
use read_model::{
    generation::{GenerationState, create, drop_generation},
    locks::{Subject, Verb, VerbLock, lock_schema},
    operate::{
        checkpoints,
        dead_letter_counts::users_without_key,
        generations::{self, GenerationRow},
    },
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::time::Instant;

/// How many users the comparison at the end of a rebuild names.
pub(crate) const NAMED_USERS: usize = 20;

/// Folds the log into a new generation until it has caught up with the live one. It then follows
/// the live one. With `promote`, compares both and makes the new one live if they are equal.
///
/// A log that replaced the one that was folded is folded up to its end. What was folded before
/// stays behind.
///
/// # Errors
/// Another verb is at work, the log has lost its beginning or got more partitions, or Kafka or
/// PostgreSQL fails. The live generation is untouched then.
pub async fn rebuild(
    settings: &Settings,
    options: RebuildOptions,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<RebuildReport> {
    let started = Instant::now();
    let pool = read_model::pool(settings)?;
    let lock = VerbLock::take(&pool, Subject::Users, Verb::Rebuild).await?;
    let source = Source::open(settings, &pool, options.from_cut).await?;
    check_end(&pool, &source).await?;
    let generation = if options.resume {
        interrupted(&pool, &source).await?
    } else {
        create_generation(&pool, &source).await?
    };
    let before = live_set_aside(&pool).await?;
    let built = fold_log(settings, &pool, &source, generation, (&options, &before), &mut progress).await?;
    let mut report = RebuildReport {
        generation,
        built: !built.gave_up,
        records: built.records,
        set_aside: SetAside::of(&mut *pool.acquire().await?, generation).await?,
        set_aside_before: before,
        gave_up: built.gave_up,
        keyless: users_without_key(&pool, generation).await?,
        cuts: source.cuts.clone(),
        comparable: !source.is_another,
        ..RebuildReport::default()
    };
    if options.promote && !built.gave_up {
        promote_if_equal(settings, &pool, &source, &options, &mut report, &mut progress).await?;
    }
    (report.also_built, report.outdated) = also_built(&pool, generation).await?;
    lock.release().await?;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// How folding the log ended.
struct Built {
    records: u64,
    gave_up: bool,
}

async fn fold_log(
    settings: &Settings,
    pool: &PgPool,
    source: &Source<'_>,
    generation: i32,
    (options, before): (&RebuildOptions, &SetAside),
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<Built> {
    let (lock, mut follower) = Follower::wait(settings, pool, source, generation).await?;
    follower.limit_pace(Pace::new(settings.rebuild_rate));
    if !options.accept_set_aside {
        follower.limit_parked(usize::try_from(before.users + parking_limit::LIMIT)?);
    }
    let gave_up = match build(pool, &mut follower, source, options.resume, progress).await {
        Err(error) if error.is::<TooManyParked>() => true,
        built => built.map(|()| false).with_context(|| {
            format!(
                "generation {generation} is not complete. `rollcall projection rebuild --resume` goes on with it"
            )
        })?,
    };
    lock.release().await?;
    Ok(Built { records: follower.records, gave_up })
}

/// Makes the new generation live if it is equal to the live one, or if the operator insists. One of
/// another log has nothing that it could be compared with.
async fn promote_if_equal(
    settings: &Settings,
    pool: &PgPool,
    source: &Source<'_>,
    options: &RebuildOptions,
    report: &mut RebuildReport,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let generation = report.generation;
    if !(source.is_another || options.unverified || options.accept_set_aside) {
        let verified = compare_with_live(settings, pool, source, generation, NAMED_USERS, progress).await?;
        let VerifyReport { is_equal, .. } = *report.verified.insert(verified);
        if !is_equal {
            // Before both were level, the events of deleted users counted.
            report.set_aside = SetAside::of(&mut *pool.acquire().await?, generation).await?;
            report.set_aside_before = live_set_aside(pool).await?;
            return Ok(());
        }
    }
    let promotion = switch_to(settings, pool, source, generation, options.accept_set_aside, progress).await?;
    let Promotion { old, set_aside, old_set_aside, is_promoted, dropped, another_log } = promotion;
    report.another_log = another_log;
    report.promoted = is_promoted;
    report.retired = is_promoted.then_some(old);
    report.dropped = dropped;
    (report.set_aside, report.set_aside_before) = (set_aside, old_set_aside);
    Ok(())
}

/// Checks that the log reaches what the live generation has folded. What is missing there could
/// never be folded again.
async fn check_end(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<()> {
    if source.is_another {
        return Ok(());
    }
    // In this order, because the log and the live generation both grow meanwhile.
    let folded = live_offsets(pool).await?;
    let ends = source.ends().await?;
    match folded.iter().find(|(partition, next)| ends.get(partition).is_none_or(|end| end < next)) {
        None => Ok(()),
        Some(((topic, partition), next)) => anyhow::bail!(
            "the log is shorter than what is folded: {topic} partition {partition} does not reach offset {next}. Restore the log. If that \
             is impossible, `rollcall log copy --to-prefix PREFIX` makes a new log of what is left, which can be folded by itself; the \
             present read model contains more than that"
        ),
    }
}

/// Creates the tables of the new generation, and drops what an interrupted rebuild has left.
async fn create_generation(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<i32> {
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    for left in generations::building(&mut transaction).await? {
        drop_generation(&mut transaction, left).await?;
    }
    let epoch = identity::register(&mut transaction, &source.log).await?;
    let partitions = u32::try_from(source.partitions.len() / Topic::ALL.len())?;
    let generation = create(&mut transaction, partitions, epoch).await?;
    for (partition, first) in &source.first_offsets {
        checkpoints::set_next_offset(&mut transaction, generation, *partition, *first).await?;
    }
    transaction.commit().await?;
    Ok(generation)
}

/// Other generations that were built: those that follow, and those of another log, which don't.
async fn also_built(pool: &PgPool, generation: i32) -> anyhow::Result<(Vec<i32>, Vec<i32>)> {
    let all = generations::list(pool).await?;
    let others = all.into_iter().filter(|row| row.state == GenerationState::Built && row.id != generation);
    let (follow, outdated): (Vec<_>, Vec<_>) = others.partition(|row| row.lag.is_some());
    let ids = |rows: Vec<GenerationRow>| rows.into_iter().map(|row| row.id).collect();
    Ok((ids(follow), ids(outdated)))
}

async fn live_set_aside(pool: &PgPool) -> anyhow::Result<SetAside> {
    let mut connection = pool.acquire().await?;
    let live = live(&mut connection).await?.context("there is no live generation")?;
    Ok(SetAside::of(&mut connection, live).await?)
}
