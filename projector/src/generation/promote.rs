//! The switch from the live generation to another one, in one transaction.

use super::{
    align::align,
    build::catch_up,
    candidate::{Candidate, candidate},
    clean_up::clean_up,
    follower::Follower,
    live,
    report::{LogChange, Phase, Progress, PromoteOptions, PromoteReport},
    set_aside::SetAside,
    source::Source,
};
use anyhow::Context as _;
use read_model::{
    generation::set_live,
    locks::{Subject, VerbLock, lock_schema},
    operate::{
        generations,
        pause::{self, PausedBy},
        requests,
    },
    write::{lease, ownership},
};
use service_kit::settings::Settings;
use sqlx::{PgConnection, PgPool};
use std::time::Instant;

/// How often the promotion is attempted. A long query of a reader can block it.
const MAX_ATTEMPTS: u32 = 10;
/// PostgreSQL's code for `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The result of a promotion.
pub(super) struct Promotion {
    /// The generation that was live before. It still is if the other one was not promoted.
    pub(super) old: i32,
    /// What the other generation has set aside.
    pub(super) set_aside: SetAside,
    /// What the old generation has set aside.
    pub(super) old_set_aside: SetAside,
    /// Whether the other generation is live now.
    pub(super) is_promoted: bool,
    /// The retired generations that were dropped.
    pub(super) dropped: Vec<i32>,
    /// If that is of another log.
    pub(super) another_log: Option<LogChange>,
}

/// Makes a built or retired generation the live one, unless it has set aside more than the live one.
/// Brings it level first.
///
/// # Errors
/// There is no such generation, it is not verified, another release made it, another verb is at
/// work, or Kafka or PostgreSQL fails. The live generation is untouched then.
pub async fn promote(
    settings: &Settings,
    options: PromoteOptions,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<PromoteReport> {
    let started = Instant::now();
    let pool = read_model::pool(settings)?;
    let lock = VerbLock::take(&pool, Subject::Users, options.which.verb()).await?;
    // Whether the log has its beginning does not matter to what is folded already.
    let source = Source::open(settings, &pool, true).await?;
    let Candidate { generation, is_live } = candidate(&pool, &source, &options).await?;
    let promotion = if is_live {
        let set_aside = SetAside::of(&mut *pool.acquire().await?, generation).await?;
        Promotion {
            old: generation,
            old_set_aside: set_aside.clone(),
            set_aside,
            is_promoted: true,
            dropped: Vec::new(),
            another_log: None,
        }
    } else {
        switch_to(settings, &pool, &source, generation, options.accept_set_aside, &mut progress).await?
    };
    lock.release().await?;
    Ok(PromoteReport {
        generation,
        promoted: promotion.is_promoted,
        retired: (promotion.is_promoted && !is_live).then_some(promotion.old),
        retired_follows: !source.is_another,
        dropped: promotion.dropped,
        set_aside: promotion.set_aside,
        set_aside_before: promotion.old_set_aside,
        another_log: promotion.another_log,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Brings a generation level and makes it the live one.
pub(super) async fn switch_to(
    settings: &Settings,
    pool: &PgPool,
    source: &Source<'_>,
    generation: i32,
    accepts_set_aside: bool,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<Promotion> {
    let (lock, mut follower) = Follower::wait(settings, pool, source, generation).await?;
    catch_up(pool, &mut follower, source, progress).await?;
    progress(Progress { generation, phase: Phase::Promoting, done: 0, total: 0 });
    let mut attempts = 0;
    let mut promotion = loop {
        attempts += 1;
        match switch(pool, &mut follower, source, accepts_set_aside).await {
            Err(error) if attempts < MAX_ATTEMPTS && is_blocked(&error) => {
                tracing::warn!(attempts, "a reader's query blocks the promotion, retrying");
            }
            promoted => break promoted?,
        }
    };
    if source.is_another && promotion.is_promoted {
        let (users, users_before) =
            (generations::users(pool, generation).await?, generations::users(pool, promotion.old).await?);
        promotion.another_log = Some(LogChange { users, users_before });
    }
    promotion.dropped = clean_up(settings, pool, source, &promotion, generation).await;
    lock.release().await?;
    Ok(promotion)
}

/// Makes a generation the live one, unless it has set aside more than the live one. With
/// `accepts_set_aside` it is promoted all the same.
///
/// The live projector waits at its fence meanwhile. Then it finds its epochs gone, and takes the
/// new generation over. Readers see the old generation up to the commit and the new one after it.
/// If both are folded from one log, they are folded up to the same offsets.
async fn switch(
    pool: &PgPool,
    follower: &mut Follower<'_>,
    source: &Source<'_>,
    accepts_set_aside: bool,
) -> anyhow::Result<Promotion> {
    if source.is_another {
        await_lease_expiry(pool, source).await?;
    }
    let mut transaction = pool.begin().await?;
    // A long query of one reader must not make all other readers wait behind the lock of the views.
    generations::limit_lock_wait(&mut transaction).await?;
    lock_schema(&mut transaction).await?;
    let old = live(&mut transaction).await?.context("there is no live generation")?;
    if source.is_another {
        close_old_log(&mut transaction).await?;
    } else {
        align(&mut transaction, follower, source, old).await?;
    }
    let promotion = compare(&mut transaction, follower.generation(), old, accepts_set_aside).await?;
    if !promotion.is_promoted {
        transaction.rollback().await?;
        return Ok(promotion);
    }
    source.check_identity().await?;
    for generation in [old, follower.generation()] {
        ownership::increment_epochs(&mut transaction, generation, &source.partitions, None).await?;
    }
    set_live(&mut transaction, follower.generation()).await?;
    transaction.commit().await?;
    Ok(promotion)
}

/// Compares what the generations have set aside. Neither moves here, so a difference is not due
/// to records that one of them has yet to fold.
async fn compare(
    connection: &mut PgConnection,
    new: i32,
    old: i32,
    accepts_set_aside: bool,
) -> anyhow::Result<Promotion> {
    let set_aside = SetAside::of(connection, new).await?;
    let old_set_aside = SetAside::of(connection, old).await?;
    let is_promoted = accepts_set_aside || !set_aside.is_more_than(&old_set_aside);
    Ok(Promotion { old, set_aside, old_set_aside, is_promoted, dropped: Vec::new(), another_log: None })
}

/// Two generations of one log agree on every user. Two generations of different logs don't, so no
/// reader may trust a cache of the old one any more. The projector of the old log is fenced off. It
/// grants no further leases, because its next takeover finds another log.
async fn await_lease_expiry(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    let old = live(&mut transaction).await?.context("there is no live generation")?;
    ownership::increment_epochs(&mut transaction, old, &source.partitions, None).await?;
    transaction.commit().await?;
    tokio::time::sleep(lease::LEASE_DURATION).await;
    Ok(())
}

/// Removes what concerns only the old log: the pause because of the new one, and open requests
/// about dead letters.
async fn close_old_log(connection: &mut PgConnection) -> sqlx::Result<()> {
    pause::delete(connection, PausedBy::Log).await?;
    requests::withdraw_all(connection).await
}

fn is_blocked(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    error.and_then(|error| error.code()).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}
