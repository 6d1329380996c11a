//! The switch from the live generation to a new one, in one transaction.

use super::{builder::Builder, builder::offsets, live, set_aside::SetAside, source::Source};
use anyhow::Context as _;
use read_model::{
    generation::set_live,
    migrate,
    write::{fence, lease},
};
use sqlx::{PgConnection, PgPool};

/// What became of a switch.
pub(super) struct Switch {
    /// The generation that was the live one, and still is where the new one was not promoted.
    pub(super) old: i32,
    /// What the new generation has set aside.
    pub(super) set_aside: SetAside,
    /// What the old one has.
    pub(super) old_set_aside: SetAside,
    /// Whether the new one is the live one now.
    pub(super) is_promoted: bool,
}

/// Makes the built generation the live one, unless it has set more aside than the one that was and `is_accepted` does not say that this is as
/// it should be. The live projector waits at its fence meanwhile and then finds
/// its epochs gone, so it takes the new generation over. Readers see the old generation up to the commit and the new one after it, both
/// folded up to the same offsets if they are of one log.
pub(super) async fn promote(
    pool: &PgPool,
    builder: &mut Builder<'_>,
    source: &Source<'_>,
    is_accepted: bool,
) -> anyhow::Result<Switch> {
    if source.is_another {
        wait_leases_out(pool, source).await?;
    }
    let mut transaction = pool.begin().await?;
    // A reader's long query must not make every other reader wait behind the views' lock.
    sqlx::query("SET LOCAL lock_timeout = '3s'").execute(&mut *transaction).await?;
    migrate::lock(&mut transaction).await?;
    let old = live(&mut transaction).await?.context("there is no live generation")?;
    if source.is_another {
        settle(&mut transaction).await?;
    } else {
        meet(&mut transaction, builder, source, old).await?;
    }
    // Both stand still, so what differs is not what one of them has yet to fold.
    let set_aside = SetAside::of(&mut transaction, builder.generation()).await?;
    let old_set_aside = SetAside::of(&mut transaction, old).await?;
    let is_promoted = is_accepted || !set_aside.is_more_than(&old_set_aside);
    let switch = Switch { old, set_aside, old_set_aside, is_promoted };
    if !switch.is_promoted {
        transaction.rollback().await?;
        return Ok(switch);
    }
    source.prove().await?;
    fence::increment_epochs(&mut transaction, old, &source.partitions, None).await?;
    fence::increment_epochs(&mut transaction, builder.generation(), &source.partitions, None).await?;
    set_live(&mut transaction, builder.generation()).await?;
    transaction.commit().await?;
    Ok(switch)
}

/// Brings the new generation exactly to where the live one stands, and holds both there.
async fn meet(
    connection: &mut PgConnection,
    builder: &mut Builder<'_>,
    source: &Source<'_>,
    old: i32,
) -> anyhow::Result<()> {
    let vector = offsets(&fence::lock(connection, old, &source.partitions).await?);
    builder.follow(&vector, |_| {}).await?;
    // Nothing is discarded while the checkpoints are locked.
    builder.settle().await?;
    let built = offsets(&fence::lock(connection, builder.generation(), &source.partitions).await?);
    anyhow::ensure!(built == vector, "the new generation does not stand where the live one does");
    Ok(())
}

/// Two generations of one log say the same of a user; those of two logs don't, so no reader may trust a cache of the old one any more. Whoever
/// folds the old log is fenced off, and grants no more leases, since a takeover finds another log.
async fn wait_leases_out(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    let old = live(&mut transaction).await?.context("there is no live generation")?;
    fence::increment_epochs(&mut transaction, old, &source.partitions, None).await?;
    transaction.commit().await?;
    tokio::time::sleep(lease::LENGTH).await;
    Ok(())
}

/// What the projectors were paused for is settled, and what is still asked about dead letters of the old log is withdrawn.
async fn settle(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM rollcall.pause WHERE by = 'log'").execute(&mut *connection).await?;
    sqlx::query("DELETE FROM rollcall.requests WHERE outcome IS NULL").execute(connection).await.map(drop)
}
