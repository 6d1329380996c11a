//! The switch from the live generation to a new one, in one transaction.

use super::{builder::Builder, builder::offsets, live, set_aside::SetAside, source::Source};
use anyhow::Context as _;
use read_model::{
    generation::set_live,
    locks::lock_schema,
    operate::{
        generations,
        pause::{self, PausedBy},
        requests,
    },
    write::{lease, ownership},
};
use sqlx::{PgConnection, PgPool};

/// The result of a promotion.
pub(super) struct Promotion {
    /// The generation that was live before. It still is if the new one was not promoted.
    pub(super) old: i32,
    /// What the new generation has set aside.
    pub(super) set_aside: SetAside,
    /// What the old generation has set aside.
    pub(super) old_set_aside: SetAside,
    /// Whether the new generation is live now.
    pub(super) is_promoted: bool,
}

/// Makes the built generation the live one, unless it has set aside more than the live one. With
/// `accepts_set_aside` it is promoted all the same.
///
/// The live projector waits at its fence meanwhile. Then it finds its epochs gone, and takes the
/// new generation over. Readers see the old generation up to the commit and the new one after it.
/// If both are folded from one log, they are folded up to the same offsets.
pub(super) async fn promote(
    pool: &PgPool,
    builder: &mut Builder<'_>,
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
        align(&mut transaction, builder, source, old).await?;
    }
    let promotion = compare(&mut transaction, builder.generation(), old, accepts_set_aside).await?;
    if !promotion.is_promoted {
        transaction.rollback().await?;
        return Ok(promotion);
    }
    source.check_identity().await?;
    for generation in [old, builder.generation()] {
        ownership::increment_epochs(&mut transaction, generation, &source.partitions, None).await?;
    }
    set_live(&mut transaction, builder.generation()).await?;
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
    Ok(Promotion { old, set_aside, old_set_aside, is_promoted })
}

/// Brings the new generation exactly to the offsets of the live one, and holds both there.
async fn align(
    connection: &mut PgConnection,
    builder: &mut Builder<'_>,
    source: &Source<'_>,
    old: i32,
) -> anyhow::Result<()> {
    let target = offsets(&ownership::lock(connection, old, &source.partitions).await?);
    builder.follow(&target, |_| {}).await?;
    // Nothing is discarded while the checkpoints are locked.
    builder.apply_discarded().await?;
    let built = offsets(&ownership::lock(connection, builder.generation(), &source.partitions).await?);
    anyhow::ensure!(built == target, "the new generation is not at the offsets of the live one");
    Ok(())
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
