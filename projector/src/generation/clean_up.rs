//! What a promotion made superfluous.

use super::{promote::Promotion, source::Source};
use key_store::Keys;
use read_model::{
    generation::drop_generation,
    locks::{FoldLock, lock_schema},
    migrate::deployment,
    operate::{generations, retired_bodies},
};
use service_kit::{errors, settings::Settings};
use sqlx::PgPool;

/// After a promotion, removes what it made superfluous. Failures are only logged, because the new
/// generation is live. Returns the generations that were dropped.
pub(super) async fn clean_up(
    settings: &Settings,
    pool: &PgPool,
    source: &Source<'_>,
    promotion: &Promotion,
    generation: i32,
) -> Vec<i32> {
    let mut dropped = Vec::new();
    if !promotion.is_promoted {
        return dropped;
    }
    if let Err(error) = drop_superseded(pool, promotion.old, &mut dropped).await {
        tracing::warn!(error = errors::describe_error(error.as_ref()), "dropping older generations failed");
    }
    if let Err(error) = retired_bodies::unlink(settings, generation).await {
        tracing::warn!(
            error = errors::describe_error(error.as_ref()),
            "bodies of the retired generation are left in Redis"
        );
    }
    if source.is_another
        && let Err(error) = bind_key_store(settings, pool).await
    {
        tracing::warn!(
            error = format!("{error:#}"),
            "the key store is not bound to the new log yet: run `rollcall migrate`"
        );
    }
    dropped
}

async fn bind_key_store(settings: &Settings, pool: &PgPool) -> anyhow::Result<()> {
    deployment::bind(pool, &Keys::open(settings)?).await
}

/// Of the retired generations of a log, only the last is kept. One of another log may be all that
/// is left of that log, so it is kept too.
async fn drop_superseded(pool: &PgPool, retired: i32, dropped: &mut Vec<i32>) -> anyhow::Result<()> {
    let superseded = generations::superseded(&mut *pool.acquire().await?, retired).await?;
    for generation in superseded {
        let lock = FoldLock::wait(pool, generation).await?;
        let mut transaction = pool.begin().await?;
        lock_schema(&mut transaction).await?;
        drop_generation(&mut transaction, generation).await?;
        transaction.commit().await?;
        dropped.push(generation);
        lock.release().await?;
    }
    Ok(())
}
