//! Building a generation: it follows the live one until it has nearly caught up, gets its indexes,
//! and catches up again.

use super::{
    bulk::fold_partitions,
    follower::{Follower, live_offsets},
    report::{Phase, Progress},
    source::Source,
};
use read_model::{
    generation::{create_indexes, postings, set_built},
    operate::generations,
};
use service_kit::failpoint;
use sqlx::{Connection as _, PgConnection, PgPool};

/// A generation that was this few offsets behind the live one has nearly reached it.
const MAX_LAG: i64 = 500;

/// Builds a generation. It is complete then, and nearly level with the live one.
pub(super) async fn build(
    pool: &PgPool,
    follower: &mut Follower<'_>,
    source: &Source<'_>,
    is_resumed: bool,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let generation = follower.generation();
    copy(pool, follower, source, is_resumed, progress).await?;
    catch_up_after(pool, follower, source, progress).await?;
    let folded = follower.folded();
    progress(Progress { generation, phase: Phase::Indexing, done: folded, total: folded });
    index(pool, generation).await?;
    follower.keep_postings().await?;
    catch_up_after(pool, follower, source, progress).await?;
    set_built(pool, generation).await?;
    Ok(())
}

/// Folds the partitions of which nothing is folded yet, up to the live generation or to the end of
/// another log.
async fn copy(
    pool: &PgPool,
    follower: &mut Follower<'_>,
    source: &Source<'_>,
    is_resumed: bool,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let generation = follower.generation();
    if postings::are_complete(pool, generation).await? {
        return Ok(());
    }
    let to = if source.is_another { source.ends().await? } else { live_offsets(pool).await? };
    let total = u64::try_from(to.values().sum::<i64>())?;
    // A resumed rebuild begins with what it has folded before.
    let before = follower.folded();
    let folded = |records| {
        progress(Progress { generation, phase: Phase::Folding, done: before + records, total });
    };
    fold_partitions(follower, source, &to, is_resumed, folded).await
}

/// Catches up in a rebuild, which shows the whole log as its total.
async fn catch_up_after(
    pool: &PgPool,
    follower: &mut Follower<'_>,
    source: &Source<'_>,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let before = follower.folded();
    let mut whole = |shown: Progress| {
        progress(Progress { done: before + shown.done, total: before + shown.total, ..shown });
    };
    catch_up(pool, follower, source, &mut whole).await
}

/// Follows the live generation until it is nearly reached. Another log is read to its end. Shows
/// what is left as the total.
pub(super) async fn catch_up(
    pool: &PgPool,
    follower: &mut Follower<'_>,
    source: &Source<'_>,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let (generation, before) = (follower.generation(), follower.records);
    let mut folded = |records: u64, total| {
        progress(Progress { generation, phase: Phase::Folding, done: records - before, total });
    };
    if source.is_another {
        let ends = source.ends().await?;
        let total = u64::try_from(follower.behind(&ends))?;
        return follower.read(&ends, |records| folded(records, total)).await;
    }
    loop {
        let to = live_offsets(pool).await?;
        let lag = follower.behind(&to);
        let total = follower.records - before + u64::try_from(lag)?;
        follower.follow(&to, |records| folded(records, total)).await?;
        if lag < MAX_LAG {
            return Ok(());
        }
    }
}

/// Makes the indexes and the postings side by side: each of them keeps about one core of PostgreSQL
/// busy.
async fn index(pool: &PgPool, generation: i32) -> anyhow::Result<()> {
    tokio::try_join!(
        on_patient_connection(pool, async |connection| {
            create_indexes(connection, generation).await?;
            failpoint::hit("rebuild.indexed");
            generations::analyze(connection, generation).await
        }),
        on_patient_connection(pool, async |connection| {
            if !postings::are_complete(pool, generation).await? {
                postings::fill(connection, generation).await?;
            }
            failpoint::hit("rebuild.filled");
            Ok(())
        })
    )?;
    Ok(())
}

/// Runs statements that may take longer than those of the fold: an index on millions of rows does.
async fn on_patient_connection(
    pool: &PgPool,
    work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<()>,
) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?.detach();
    generations::allow_long_statements(&mut connection).await?;
    work(&mut connection).await?;
    Ok(connection.close().await?)
}
