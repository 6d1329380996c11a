//! The switch from the live generation to a new one, at one offset vector, in one transaction.

use super::{builder::Builder, builder::offsets, live, set_live};
use crate::{fence, migrate, record::Partition};
use anyhow::Context as _;
use sqlx::PgPool;

/// Makes the built generation the live one; returns the one that was. The live projector waits at its fence meanwhile and then finds
/// its epochs gone, so it takes the new generation over. Readers see the old generation up to the commit and the new one after it, both
/// folded up to the same offsets.
pub(super) async fn promote(
    pool: &PgPool,
    builder: &mut Builder<'_>,
    partitions: &[Partition],
) -> anyhow::Result<i32> {
    let mut transaction = pool.begin().await?;
    // A reader's long query must not make every other reader wait behind the views' lock.
    sqlx::query("SET LOCAL lock_timeout = '3s'").execute(&mut *transaction).await?;
    migrate::lock(&mut transaction).await?;
    let old = live(&mut transaction).await?.context("there is no live generation")?;
    let vector = offsets(&fence::lock(&mut transaction, old, partitions).await?);
    builder.follow(&vector, |_| {}).await?;
    let built = offsets(&fence::lock(&mut transaction, builder.generation(), partitions).await?);
    anyhow::ensure!(built == vector, "the new generation does not stand where the live one does");
    fence::bump(&mut transaction, old, partitions).await?;
    fence::bump(&mut transaction, builder.generation(), partitions).await?;
    set_live(&mut transaction, builder.generation()).await?;
    transaction.commit().await?;
    Ok(old)
}
