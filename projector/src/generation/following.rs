//! Built and retired generations follow the live one, in rounds. Any projector may do the next
//! round: it takes the generation over, so a slower one is fenced off.
//!
//! A thread of its own does this, so that no generation delays the live one.

use super::follower::{Follower, live_offsets};
use crate::{
    own_thread, panics,
    stop::{Interrupt, StopSignal},
};
use event_log::identity::{LogIdentity, LogMatch};
use events_schema::Partition;
use futures_util::FutureExt as _;
use key_store::Keys;
use read_model::{locks::FoldLock, operate::generations};
use service_kit::{errors::describe_error, settings::Settings};
use sqlx::PgPool;
use std::time::Duration;

/// The pause between two rounds once all generations are level.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause after a failed round.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// Starts the thread. It ends when a stop is requested.
pub(crate) fn start(settings: Settings, keys: Keys, stop: StopSignal) -> anyhow::Result<()> {
    own_thread::spawn("projector-follow", async move || {
        // Stopping is the only way to end it.
        let _ = panics::repeat(&stop, async || run(&settings, &keys, &stop).await).await;
    })
}

async fn run(settings: &Settings, keys: &Keys, stop: &StopSignal) -> Result<(), Interrupt> {
    let pool = stop.retry("opening the pool of the followers", async || read_model::pool(settings)).await?;
    loop {
        let pause = match stop.run_until_stopped(rounds(settings, &pool, keys).boxed_local()).await? {
            Ok(true) => PAUSE,
            Ok(false) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(
                    error = describe_error(error.as_ref()),
                    "a generation that is not live could not follow, retrying"
                );
                FAILURE_PAUSE
            }
        };
        stop.run_until_stopped(tokio::time::sleep(pause)).await?;
    }
}

/// A round for each generation that is behind. Returns whether all of them are level.
async fn rounds(settings: &Settings, pool: &PgPool, keys: &Keys) -> anyhow::Result<bool> {
    let mut are_level = true;
    for (generation, lag) in generations::following(pool).await? {
        if lag > 0
            && let Some(lock) = FoldLock::take(pool, generation).await?
        {
            are_level &= round(settings, pool, keys, generation).await?;
            lock.release().await?;
        }
    }
    Ok(are_level)
}

/// Folds some records into a generation. Returns whether it is level then.
async fn round(settings: &Settings, pool: &PgPool, keys: &Keys, generation: i32) -> anyhow::Result<bool> {
    let LogMatch::Same = LogIdentity::new(settings)?.compare(pool, generation).await? else {
        // The live projector says so.
        return Ok(true);
    };
    let to = live_offsets(pool).await?;
    let partitions: Vec<Partition> = to.keys().copied().collect();
    let mut follower = Follower::open(settings, pool.clone(), keys.clone(), generation, &partitions).await?;
    follower.follow_some(&to).await
}
