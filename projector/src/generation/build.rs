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
    catch_up(pool, follower, source, progress).await?;
    let total = u64::try_from(follower.next_offsets.values().sum::<i64>()).unwrap_or_default();
    progress(Progress { generation, phase: Phase::Indexing, done: follower.records, total });
    index(pool, generation).await?;
    follower.keep_postings().await?;
    catch_up(pool, follower, source, progress).await?;
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
    let folded = |done| progress(Progress { generation, phase: Phase::Folding, done, total });
    fold_partitions(follower, source, &to, is_resumed, folded).await
}

/// Follows the live generation until it is nearly reached. Another log is read to its end.
pub(super) async fn catch_up(
    pool: &PgPool,
    follower: &mut Follower<'_>,
    source: &Source<'_>,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let generation = follower.generation();
    let mut folded = |done, total| progress(Progress { generation, phase: Phase::Folding, done, total });
    if source.is_another {
        let ends = source.ends().await?;
        let total = u64::try_from(ends.values().sum::<i64>())?;
        return follower.read(&ends, |records| folded(records, total)).await;
    }
    loop {
        let to = live_offsets(pool).await?;
        let (lag, total) = (follower.behind(&to), u64::try_from(to.values().sum::<i64>())?);
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
