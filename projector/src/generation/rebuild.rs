//! A rebuild: a new generation is folded from the beginning of the log and then promoted. Reads
//! continue throughout.

use super::{
    SetAside,
    build::{build, target},
    builder::{Builder, TooManyParked},
    live,
    promote::Promotion,
    report::{RebuildOptions, RebuildProgress, RebuildReport},
    source::Source,
};
use crate::pipeline::parking_limit;
use anyhow::Context as _;
use event_log::identity;
use events_schema::Topic;
use key_store::Keys;
use read_model::{
    generation::{create, drop_generation},
    locks::{lock_schema, try_lock_rebuilds},
    migrate::deployment,
    operate::{checkpoints, dead_letter_counts::users_without_key, generations, retired_bodies},
};
use service_kit::{errors, settings::Settings};
use sqlx::{Connection as _, PgConnection, PgPool};
use std::time::Instant;

/// Folds the log into a new generation until it has caught up with the live one. Then makes it the
/// live one, unless it has set aside more.
///
/// A log that replaced the one that was folded is folded up to its end. What was folded before
/// stays behind.
///
/// # Errors
/// Another rebuild is running, the log has lost its beginning or got more partitions, or Kafka or
/// PostgreSQL fails. The live generation is untouched then.
pub async fn rebuild(
    settings: &Settings,
    options: RebuildOptions,
    mut progress: impl FnMut(RebuildProgress),
) -> anyhow::Result<RebuildReport> {
    let started = Instant::now();
    let pool = read_model::pool(settings)?;
    let lock = lock_rebuilds(&pool).await?;
    let source = Source::open(settings, &pool, options.from_cut).await?;
    check_end(&pool, &source).await?;
    let generation = create_generation(&pool, &source).await?;
    let before = live_set_aside(&pool).await?;
    let mut builder = Builder::new(settings, pool.clone(), generation, &source.partitions).await?;
    if !options.accept_set_aside {
        builder.limit_parked(usize::try_from(before.users + parking_limit::LIMIT)?);
    }
    let (promotion, gave_up) = match build(&pool, &mut builder, &source, options, &mut progress).await {
        Err(error) if error.is::<TooManyParked>() => (given_up(&pool, generation, before).await?, true),
        built => (built?, false),
    };
    clean_up(settings, &pool, &source, &promotion, generation).await;
    lock.close().await?;
    Ok(RebuildReport {
        generation,
        promoted: promotion.is_promoted,
        retired: promotion.is_promoted.then_some(promotion.old),
        records: builder.records,
        set_aside: promotion.set_aside,
        set_aside_before: promotion.old_set_aside,
        gave_up,
        keyless: users_without_key(&pool, generation).await?,
        cuts: source.cuts,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Takes the lock of rebuilds. It ends with the returned connection, so also if this process dies.
async fn lock_rebuilds(pool: &PgPool) -> anyhow::Result<PgConnection> {
    let mut connection = pool.acquire().await?.detach();
    anyhow::ensure!(
        try_lock_rebuilds(&mut connection).await?,
        "another rebuild is at work: wait until it ends"
    );
    Ok(connection)
}

/// Checks that the log reaches what the live generation has folded. What is missing there could
/// never be folded again.
async fn check_end(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<()> {
    if source.is_another {
        return Ok(());
    }
    // In this order, because the log and the live generation both grow meanwhile.
    let folded = target(pool, source).await?;
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

/// Creates the tables of the new generation, and drops what a failed rebuild has left.
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

async fn live_set_aside(pool: &PgPool) -> anyhow::Result<SetAside> {
    let mut connection = pool.acquire().await?;
    let live = live(&mut connection).await?.context("there is no live generation")?;
    Ok(SetAside::of(&mut connection, live).await?)
}

/// The result for a generation that was not folded to the end.
async fn given_up(pool: &PgPool, generation: i32, before: SetAside) -> anyhow::Result<Promotion> {
    let mut connection = pool.acquire().await?;
    let old = live(&mut connection).await?.context("there is no live generation")?;
    let set_aside = SetAside::of(&mut connection, generation).await?;
    Ok(Promotion { old, set_aside, old_set_aside: before, is_promoted: false })
}

/// After a promotion, removes what it made superfluous. Failures are only logged, because the new
/// generation is live.
async fn clean_up(
    settings: &Settings,
    pool: &PgPool,
    source: &Source<'_>,
    promotion: &Promotion,
    generation: i32,
) {
    if !promotion.is_promoted {
        return;
    }
    if let Err(error) = drop_superseded(pool, promotion.old).await {
        tracing::warn!(error = errors::describe_error(error.as_ref()), "dropping older generations failed");
    }
    if let Err(error) = retired_bodies::unlink(settings, generation).await {
        tracing::warn!(
            error = errors::describe_error(error.as_ref()),
            "bodies of the retired generation are left in Redis"
        );
    }
    if source.is_another
        && let Err(error) = bind_key_store(settings, pool).await
    {
        tracing::warn!(
            error = format!("{error:#}"),
            "the key store is not bound to the new log yet: run `rollcall migrate`"
        );
    }
}

async fn bind_key_store(settings: &Settings, pool: &PgPool) -> anyhow::Result<()> {
    deployment::bind(pool, &Keys::open(settings)?).await
}

/// Of the retired generations of a log, only the last is kept. One of another log may be all that
/// is left of that log, so it is kept too.
async fn drop_superseded(pool: &PgPool, retired: i32) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    for generation in generations::superseded(&mut transaction, retired).await? {
        drop_generation(&mut transaction, generation).await?;
    }
    Ok(transaction.commit().await?)
}
