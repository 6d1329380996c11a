//! Takes a snapshot of a generation and the live one at the same offsets. Both are held there only
//! until the snapshot is taken.

use super::{align::align, build::catch_up, follower::Follower, live, report::Progress, source::Source};
use anyhow::Context as _;
use read_model::compare::Snapshot;
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// How long writers may wait until the snapshot is taken.
const HOLD_LIMIT: Duration = Duration::from_secs(1);
/// How often that is attempted.
const MAX_ATTEMPTS: u32 = 10;

/// Both generations at the same offsets.
pub(super) struct Held {
    pub(super) snapshot: Snapshot,
    pub(super) live: i32,
    pub(super) held_for: Duration,
}

/// Takes a snapshot of both generations at the same offsets.
pub(super) async fn hold(
    settings: &Settings,
    pool: &PgPool,
    source: &Source<'_>,
    generation: i32,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<Held> {
    let (lock, mut follower) = Follower::wait(settings, pool, source, generation).await?;
    for _ in 0..MAX_ATTEMPTS {
        catch_up(pool, &mut follower, source, progress).await?;
        match tokio::time::timeout(HOLD_LIMIT, try_hold(pool, &mut follower, source)).await {
            Ok(held) => {
                lock.release().await?;
                return held;
            }
            // The transaction is rolled back, so the live projector goes on.
            Err(_) => follower.take_over_again(&source.partitions).await?,
        }
    }
    anyhow::bail!(
        "generation {generation} can't be brought level with the live one within {} s, and writers would have to wait longer: \
         try again when fewer writes come",
        HOLD_LIMIT.as_secs()
    )
}

async fn try_hold(pool: &PgPool, follower: &mut Follower<'_>, source: &Source<'_>) -> anyhow::Result<Held> {
    let mut transaction = pool.begin().await?;
    let live = live(&mut transaction).await?.context("there is no live generation")?;
    let begun = Instant::now();
    align(&mut transaction, follower, source, live).await?;
    let snapshot = Snapshot::take(pool).await?;
    transaction.rollback().await?;
    Ok(Held { snapshot, live, held_for: begun.elapsed() })
}
