//! Building a generation: it follows the live one until it has nearly caught up, gets its indexes,
//! catches up again, and is promoted.

use super::{
    builder::{Builder, Offsets, offsets},
    live,
    promote::{Promotion, promote},
    report::{Phase, RebuildOptions, RebuildProgress},
    source::Source,
};
use anyhow::Context as _;
use read_model::{
    generation::{create_indexes, postings},
    operate::generations,
    write::ownership,
};
use sqlx::PgPool;

/// How many offsets the new generation may be behind the live one when the promotion begins.
const MAX_LAG: i64 = 2_000;
/// How often the promotion is attempted. A long query of a reader can block it.
const MAX_ATTEMPTS: u32 = 10;
/// PostgreSQL's code for `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Builds and promotes a generation.
pub(super) async fn build(
    pool: &PgPool,
    builder: &mut Builder<'_>,
    source: &Source<'_>,
    options: RebuildOptions,
    progress: &mut impl FnMut(RebuildProgress),
) -> anyhow::Result<Promotion> {
    catch_up(pool, builder, source, progress).await?;
    show(progress, builder, Phase::Indexing);
    index(pool, builder.generation()).await?;
    builder.keep_postings().await?;
    catch_up(pool, builder, source, progress).await?;
    show(progress, builder, Phase::Promoting);
    let mut attempts = 0;
    loop {
        attempts += 1;
        match promote(pool, builder, source, options.accept_set_aside).await {
            Err(error) if attempts < MAX_ATTEMPTS && is_blocked(&error) => {
                tracing::warn!(attempts, "a reader's query blocks the promotion, retrying");
            }
            promoted => return promoted,
        }
    }
}

/// Follows the live generation until it is nearly reached. Another log is read to its end.
async fn catch_up(
    pool: &PgPool,
    builder: &mut Builder<'_>,
    source: &Source<'_>,
    progress: &mut impl FnMut(RebuildProgress),
) -> anyhow::Result<()> {
    let generation = builder.generation();
    let mut folded =
        |records, total| progress(RebuildProgress { generation, phase: Phase::Folding, records, total });
    if source.is_another {
        let ends = source.ends().await?;
        let total = u64::try_from(ends.values().sum::<i64>())?;
        return builder.read(&ends, |records| folded(records, total)).await;
    }
    loop {
        let to = target(pool, source).await?;
        if builder.behind(&to) < MAX_LAG {
            return Ok(());
        }
        let total = u64::try_from(to.values().sum::<i64>())?;
        builder.follow(&to, |records| folded(records, total)).await?;
    }
}

/// The offsets of the live generation.
pub(super) async fn target(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<Offsets> {
    let mut transaction = pool.begin().await?;
    let generation = live(&mut transaction).await?.context("there is no live generation")?;
    let offsets = offsets(&ownership::lock(&mut transaction, generation, &source.partitions).await?);
    transaction.rollback().await?;
    Ok(offsets)
}

async fn index(pool: &PgPool, generation: i32) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    // An index on millions of rows takes longer than a statement of the fold may.
    generations::allow_long_statements(&mut connection).await?;
    create_indexes(&mut connection, generation).await?;
    postings::fill(&mut connection, generation).await?;
    generations::analyze(&mut connection, generation).await?;
    sqlx::Connection::close(connection.detach()).await?;
    Ok(())
}

fn show(progress: &mut impl FnMut(RebuildProgress), builder: &Builder<'_>, phase: Phase) {
    let total = u64::try_from(builder.next_offsets.values().sum::<i64>()).unwrap_or_default();
    progress(RebuildProgress { generation: builder.generation(), phase, records: builder.records, total });
}

fn is_blocked(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    error.and_then(|error| error.code()).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}
