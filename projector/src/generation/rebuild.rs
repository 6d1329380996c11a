//! A new generation, folded from the log's beginning beside the live one, then promoted. Reads go on throughout.

use super::{
    builder::{Builder, TooManyParked, Vector, offsets},
    live,
    promote::{Switch, promote},
    set_aside::SetAside,
    source::Source,
};
use crate::pipeline::parking_limit;
use anyhow::Context as _;
use event_log::{cuts::Cut, identity};
use events_schema::{ReasonCode, Topic};
use key_store::Keys;
use read_model::{
    generation::{create, create_indexes, drop_generation, statement},
    migrate::{self, REBUILD_LOCK, deployment},
    operate::retired_bodies,
    write::fence,
};
use service_kit::settings::Settings;
use sqlx::{Connection as _, PgPool};
use std::time::Instant;

/// Offsets behind the live generation at which the switch is begun.
const LEVEL: i64 = 2_000;
/// Tries of the switch: a reader's long query can hold it up.
const TRIES: u32 = 10;

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Folding the log.
    Folding,
    /// Building the indexes.
    Indexing,
    /// Switching over.
    Promoting,
}

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildProgress {
    /// The new generation.
    pub generation: i32,
    /// What it is doing.
    pub phase: Phase,
    /// Records folded.
    pub records: u64,
    /// Offsets that the live generation has folded: about the records there are.
    pub total: u64,
}

/// What an operator wants of a rebuild.
#[derive(Debug, Clone, Copy, Default)]
pub struct RebuildOptions {
    /// The new generation becomes the live one even where it has set more aside than the one that was.
    pub accept_set_aside: bool,
    /// The log may begin behind offset 0.
    pub from_cut: bool,
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// The generation that was built.
    pub generation: i32,
    /// Whether it is the live one now.
    pub promoted: bool,
    /// The one that was live before, kept as retired; none where the new one was not promoted.
    pub retired: Option<i32>,
    /// Records folded.
    pub records: u64,
    /// What the new generation could not fold.
    pub set_aside: SetAside,
    /// What the one that was live before could not.
    pub set_aside_before: SetAside,
    /// Whether it ended before the log did, since it had to park too many users.
    pub gave_up: bool,
    /// Users that are parked there because their key is missing though nothing says that they were deleted.
    pub keyless: i64,
    /// Where the log does not begin at 0.
    pub cuts: Vec<Cut>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Folds the log into a new generation until it is level with the live one, and makes it the live one, unless it has set more aside. A log that
/// took the place of the one that was folded is folded up to its end, and what was folded before is left behind.
///
/// # Errors
/// Another rebuild is at work, the log has lost its beginning or got more partitions, or Kafka or Postgres fails; the live generation is
/// untouched then.
pub async fn rebuild(
    settings: &Settings,
    options: RebuildOptions,
    mut progress: impl FnMut(RebuildProgress),
) -> anyhow::Result<RebuildReport> {
    let started = Instant::now();
    let pool = read_model::pool(settings)?;
    // The lock lives as long as this connection, so it ends with this process whatever happens.
    let mut guard = pool.acquire().await?.detach();
    let is_alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(REBUILD_LOCK)
        .fetch_one(&mut guard)
        .await?;
    anyhow::ensure!(is_alone, "another rebuild is at work");
    let source = Source::look(settings, &pool, options.from_cut).await?;
    if !source.is_another {
        check_end(&pool, &source).await?;
    }
    let generation = begin(&pool, &source).await?;
    let keys = Keys::open(settings)?;
    let mut builder = Builder::new(settings, pool.clone(), generation, &source.partitions, keys).await?;
    let before = set_aside_before(&pool).await?;
    if !options.accept_set_aside {
        builder.may_park(usize::try_from(before.users + parking_limit::LIMIT)?);
    }
    let built = build(&pool, &mut builder, &source, options, &mut progress).await;
    let (switch, gave_up) = match built {
        Err(error) if error.is::<TooManyParked>() => (given_up(&pool, generation, before).await?, true),
        built => (built?, false),
    };
    if switch.is_promoted {
        drop_older(&pool, switch.old).await;
        if let Err(error) = retired_bodies::unlink(settings, generation).await {
            tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "bodies of the retired generation are left in Redis"
            );
        }
    }
    if switch.is_promoted
        && source.is_another
        && let Err(error) = deployment::bind(&pool, &Keys::open(settings)?).await
    {
        tracing::warn!(
            error = format!("{error:#}"),
            "the key store does not know the new log yet: `rollcall migrate` tells it"
        );
    }
    guard.close().await?;
    Ok(RebuildReport {
        generation,
        promoted: switch.is_promoted,
        retired: switch.is_promoted.then_some(switch.old),
        records: builder.records,
        set_aside: switch.set_aside,
        set_aside_before: switch.old_set_aside,
        gave_up,
        keyless: keyless(&pool, generation).await?,
        cuts: source.cuts,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// What the live generation has set aside.
async fn set_aside_before(pool: &PgPool) -> anyhow::Result<SetAside> {
    let mut connection = pool.acquire().await?;
    let live = live(&mut connection).await?.context("there is no live generation")?;
    Ok(SetAside::of(&mut connection, live).await?)
}

/// What is told of a generation that was given up.
async fn given_up(pool: &PgPool, generation: i32, before: SetAside) -> anyhow::Result<Switch> {
    let mut connection = pool.acquire().await?;
    let old = live(&mut connection).await?.context("there is no live generation")?;
    let set_aside = SetAside::of(&mut connection, generation).await?;
    Ok(Switch { old, set_aside, old_set_aside: before, is_promoted: false })
}

/// How many users of a generation can't be read for want of their key.
async fn keyless(pool: &PgPool, generation: i32) -> sqlx::Result<i64> {
    let sql = "SELECT count(DISTINCT (tenant_id, user_id)) FROM {g}.dead_letters WHERE reason = $1";
    sqlx::query_scalar(statement(sql, generation)).bind(ReasonCode::KeyMissing.as_str()).fetch_one(pool).await
}

/// The live generation must not be ahead of the log: what it has folded could never be folded again.
async fn check_end(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<()> {
    // In this order: the log and the live generation both go on meanwhile.
    let to = target(pool, source).await?;
    let ends = source.ends().await?;
    match to.iter().find(|(partition, next)| ends.get(partition).is_none_or(|end| end < next)) {
        None => Ok(()),
        Some(((topic, partition), next)) => anyhow::bail!(
            "the log is shorter than what is folded: {topic} partition {partition} does not reach offset {next}. Restore the log. Where that \
             is impossible, `rollcall log copy --to-prefix PREFIX` makes a new log of what is left, which can be folded by itself; the \
             present read model knows more than that"
        ),
    }
}

/// Makes the new generation's tables; what a rebuild that failed left behind goes.
async fn begin(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<i32> {
    let mut transaction = pool.begin().await?;
    migrate::lock(&mut transaction).await?;
    let left: Vec<i32> = sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE state = 'building'")
        .fetch_all(&mut *transaction)
        .await?;
    for generation in left {
        drop_generation(&mut transaction, generation).await?;
    }
    let epoch = identity::register(&mut transaction, &source.log).await?;
    let partitions = u32::try_from(source.partitions.len() / Topic::ALL.len())?;
    let generation = create(&mut transaction, partitions, epoch).await?;
    for ((topic, partition), first) in &source.begins {
        sqlx::query(
            "UPDATE rollcall.checkpoints SET next_offset = $4 WHERE generation = $1 AND topic = $2 AND partition = $3",
        )
        .bind(generation)
        .bind(topic.as_str())
        .bind(partition)
        .bind(first)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(generation)
}

async fn build(
    pool: &PgPool,
    builder: &mut Builder<'_>,
    source: &Source<'_>,
    options: RebuildOptions,
    progress: &mut impl FnMut(RebuildProgress),
) -> anyhow::Result<Switch> {
    level(pool, builder, source, progress).await?;
    show(progress, builder, Phase::Indexing);
    index(pool, builder.generation()).await?;
    level(pool, builder, source, progress).await?;
    show(progress, builder, Phase::Promoting);
    let mut tries = 0;
    loop {
        tries += 1;
        match promote(pool, builder, source, options.accept_set_aside).await {
            Err(error) if tries < TRIES && is_held_up(&error) => {
                tracing::warn!(tries, "the switch was held up by a reader; trying again");
            }
            switched => return switched,
        }
    }
}

/// Follows the live generation until it is nearly there; of another log, reads what there is.
async fn level(
    pool: &PgPool,
    builder: &mut Builder<'_>,
    source: &Source<'_>,
    progress: &mut impl FnMut(RebuildProgress),
) -> anyhow::Result<()> {
    let generation = builder.generation();
    let mut folding =
        |records, total| progress(RebuildProgress { generation, phase: Phase::Folding, records, total });
    if source.is_another {
        let ends = source.ends().await?;
        let total = u64::try_from(ends.values().sum::<i64>())?;
        return builder.read(&ends, |records| folding(records, total)).await;
    }
    loop {
        let to = target(pool, source).await?;
        if builder.behind(&to) < LEVEL {
            return Ok(());
        }
        let total = u64::try_from(to.values().sum::<i64>())?;
        builder.follow(&to, |records| folding(records, total)).await?;
    }
}

/// Where the live generation stands.
async fn target(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<Vector> {
    let mut transaction = pool.begin().await?;
    let generation = live(&mut transaction).await?.context("there is no live generation")?;
    let vector = offsets(&fence::lock(&mut transaction, generation, &source.partitions).await?);
    transaction.rollback().await?;
    Ok(vector)
}

async fn index(pool: &PgPool, generation: i32) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    // An index on millions of rows takes longer than a statement of the fold may.
    sqlx::query("SET statement_timeout = 0").execute(&mut *connection).await?;
    create_indexes(&mut connection, generation).await?;
    let analyze = "ANALYZE {g}.users, {g}.tombstones, {g}.credentials";
    sqlx::raw_sql(statement(analyze, generation)).execute(&mut *connection).await?;
    connection.detach().close().await?;
    Ok(())
}

fn show(progress: &mut impl FnMut(RebuildProgress), builder: &Builder<'_>, phase: Phase) {
    let total = u64::try_from(builder.at.values().sum::<i64>()).unwrap_or_default();
    progress(RebuildProgress { generation: builder.generation(), phase, records: builder.records, total });
}

fn is_held_up(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    // lock_not_available
    code.and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}

/// Of the retired generations of a log only the last is kept. That of another log may be all that is left of it, so it stays.
async fn drop_older(pool: &PgPool, retired: i32) {
    let dropped = async {
        let mut transaction = pool.begin().await?;
        migrate::lock(&mut transaction).await?;
        let older: Vec<i32> =
            sqlx::query_scalar(
                "SELECT id FROM rollcall.generations g WHERE state = 'retired' AND id < $1 AND EXISTS ( \
                     SELECT FROM rollcall.generations o WHERE o.log_epoch = g.log_epoch AND o.id > g.id AND o.id <= $1)",
            )
            .bind(retired)
            .fetch_all(&mut *transaction)
            .await?;
        for generation in older {
            drop_generation(&mut transaction, generation).await?;
        }
        anyhow::Ok(transaction.commit().await?)
    };
    if let Err(error) = dropped.await {
        tracing::warn!(
            error = service_kit::errors::describe_error(error.as_ref()),
            "an older generation was not dropped"
        );
    }
}
