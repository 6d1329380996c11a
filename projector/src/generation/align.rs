//! Brings a generation exactly to the offsets of the live one, and holds both there.

use super::{
    follower::{Follower, offsets},
    source::Source,
};
use read_model::write::ownership;
use sqlx::PgConnection;

/// Holds both generations at the offsets of the live one until the transaction of `connection` ends.
/// The live projector waits at its fence meanwhile.
pub(super) async fn align(
    connection: &mut PgConnection,
    follower: &mut Follower<'_>,
    source: &Source<'_>,
    live: i32,
) -> anyhow::Result<()> {
    let target = offsets(&ownership::lock(connection, live, &source.partitions).await?);
    follower.follow(&target, |_| {}).await?;
    // Nothing is discarded while the checkpoints are locked.
    follower.apply_discarded().await?;
    let reached = offsets(&ownership::lock(connection, follower.generation(), &source.partitions).await?);
    anyhow::ensure!(
        reached == target,
        "generation {} is not at the offsets of the live one",
        follower.generation()
    );
    Ok(())
}
