//! A new generation, folded from the log's beginning beside the live one, then promoted. Reads go on throughout.

use super::{
    builder::{Builder, Vector, offsets},
    create, drop_generation,
    forget::forget_all_but,
    live,
    promote::promote,
    schema,
    source::Source,
};
use crate::{fence, log_identity, migrate, record::Topic, store::postgres};
use anyhow::Context as _;
use events_schema::ReasonCode;
use service_kit::{keys::Keys, settings::Settings};
use sqlx::{AssertSqlSafe, Connection as _, PgPool};
use std::time::Instant;

/// One rebuild at a time.
const REBUILD_LOCK: i64 = migrate::SCHEMA_LOCK + 1;
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

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// The generation that is live now.
    pub generation: i32,
    /// The one that was, kept as retired.
    pub retired: i32,
    /// Records folded.
    pub records: u64,
    /// Users that are parked there because their key is missing though nothing says that they were deleted.
    pub keyless: i64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Folds the log into a new generation until it is level with the live one, and makes it the live one. A log that took the place of the
/// one that was folded is folded up to its end, and what was folded before is left behind.
///
/// # Errors
/// Another rebuild is at work, the log has lost its beginning, or Kafka or Postgres fails; the live generation is untouched then.
pub async fn rebuild(
    settings: &Settings,
    mut progress: impl FnMut(RebuildProgress),
) -> anyhow::Result<RebuildReport> {
    let started = Instant::now();
    let pool = postgres::pool(settings)?;
    // The lock lives as long as this connection, so it ends with this process whatever happens.
    let mut guard = pool.acquire().await?.detach();
    let is_alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(REBUILD_LOCK)
        .fetch_one(&mut guard)
        .await?;
    anyhow::ensure!(is_alone, "another rebuild is at work");
    let source = Source::look(settings, &pool).await?;
    if !source.is_another {
        check_end(&pool, &source).await?;
    }
    let generation = begin(&pool, &source).await?;
    let keys = Keys::open(settings)?;
    let mut builder = Builder::new(settings, pool.clone(), generation, &source.partitions, keys).await?;
    let retired = build(&pool, &mut builder, &source, &mut progress).await?;
    drop_older(&pool, retired).await;
    if let Err(error) = forget_all_but(settings, generation).await {
        tracing::warn!(error = format!("{error:#}"), "bodies of the retired generation are left in Redis");
    }
    guard.close().await?;
    let (records, keyless) = (builder.records, keyless(&pool).await?);
    Ok(RebuildReport { generation, retired, records, keyless, seconds: started.elapsed().as_secs_f64() })
}

/// How many users of the live generation can't be read for want of their key.
async fn keyless(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(DISTINCT (tenant_id, user_id)) FROM live.dead_letters WHERE reason = $1")
        .bind(ReasonCode::KeyMissing.as_str())
        .fetch_one(pool)
        .await
}

/// The live generation must not be ahead of the log: what it has folded could never be folded again.
async fn check_end(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<()> {
    // In this order: the log and the live generation both go on meanwhile.
    let to = target(pool, source).await?;
    let ends = source.ends().await?;
    match to.iter().find(|(partition, next)| ends.get(partition).is_none_or(|end| end < next)) {
        None => Ok(()),
        Some(((topic, partition), next)) => anyhow::bail!(
            "the log is shorter than what is folded: {topic} partition {partition} does not reach offset {next}"
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
    let epoch = log_identity::enter(&mut transaction, &source.ids).await?;
    let partitions = u32::try_from(source.partitions.len() / Topic::ALL.len())?;
    let generation = create(&mut transaction, partitions, epoch).await?;
    transaction.commit().await?;
    Ok(generation)
}

async fn build(
    pool: &PgPool,
    builder: &mut Builder<'_>,
    source: &Source<'_>,
    progress: &mut impl FnMut(RebuildProgress),
) -> anyhow::Result<i32> {
    level(pool, builder, source, progress).await?;
    show(progress, builder, Phase::Indexing);
    index(pool, builder.generation()).await?;
    level(pool, builder, source, progress).await?;
    show(progress, builder, Phase::Promoting);
    let mut tries = 0;
    loop {
        tries += 1;
        match promote(pool, builder, source).await {
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
    migrate::create_indexes(&mut connection, generation).await?;
    let schema = schema(generation);
    let analyze = format!("ANALYZE {schema}.users, {schema}.tombstones, {schema}.credentials");
    sqlx::raw_sql(AssertSqlSafe(analyze)).execute(&mut *connection).await?;
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

/// Of the retired generations only the last is kept.
async fn drop_older(pool: &PgPool, retired: i32) {
    let dropped = async {
        let mut transaction = pool.begin().await?;
        migrate::lock(&mut transaction).await?;
        let older: Vec<i32> =
            sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE state = 'retired' AND id < $1")
                .bind(retired)
                .fetch_all(&mut *transaction)
                .await?;
        for generation in older {
            drop_generation(&mut transaction, generation).await?;
        }
        anyhow::Ok(transaction.commit().await?)
    };
    if let Err(error) = dropped.await {
        tracing::warn!(error = format!("{error:#}"), "an older generation was not dropped");
    }
}
