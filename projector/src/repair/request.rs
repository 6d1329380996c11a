//! A request to repair a user, and waiting for its result.

use super::{Repair, RepairProgress};
use anyhow::Context as _;
use event_log::{identity, log_ends};
use events_schema::UserKey;
use read_model::operate::{pause, repairs};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// How long nothing may happen before the request is withdrawn.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the table is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Has a user repaired by the projector that owns the user's partition, and waits for the result.
///
/// # Errors
/// The projectors are paused, none of them carried the request out (then it is withdrawn), or a server
/// can't be asked.
pub async fn repair_user(
    settings: &Settings,
    user: &UserKey,
    progress: impl FnMut(RepairProgress),
) -> anyhow::Result<Repair> {
    identity::check_log(settings).await?;
    let pool = read_model::pool(settings)?;
    if let Some(pause) = pause::find(&pool).await? {
        anyhow::bail!(
            "the projectors are paused ({}): nothing can be repaired before `rollcall projection resume`. --check works",
            pause.reason
        );
    }
    let partition = i32::try_from(user.partition(log_ends::partitions(settings).await?))?;
    let request = repairs::insert(&pool, user, partition).await?;
    await_report(&pool, request, progress).await
}

async fn await_report(
    pool: &PgPool,
    request: i64,
    mut progress: impl FnMut(RepairProgress),
) -> anyhow::Result<Repair> {
    let (mut last, mut deadline) = (RepairProgress::default(), Instant::now() + PATIENCE);
    loop {
        let (read, report) = repairs::state(pool, request).await?.context("the request is gone")?;
        if let Some(report) = report {
            return Ok(report);
        }
        // A repair that begins again and again makes no progress.
        if let Some(read) = read.filter(|read| read.done > last.done) {
            (last, deadline) = (read, Instant::now() + PATIENCE);
            progress(read);
        }
        if Instant::now() > deadline {
            anyhow::ensure!(
                !repairs::withdraw(pool, request).await?,
                "no projector has carried the request out within {} s, and it is withdrawn: see `rollcall projection status` and the \
                 projectors' /health/ready",
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
