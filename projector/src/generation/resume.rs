//! The generation that an interrupted rebuild has left.

use super::source::Source;
use anyhow::Context as _;
use read_model::{
    generation::{FOLD_VERSION, GenerationState, schema_hash},
    operate::generations,
};
use sqlx::PgPool;

/// The generation that an interrupted rebuild has left, if this build can finish it.
pub(super) async fn interrupted(pool: &PgPool, source: &Source<'_>) -> anyhow::Result<i32> {
    let mut connection = pool.acquire().await?;
    let Some(generation) = generations::newest(&mut connection, GenerationState::Building).await? else {
        let built = generations::newest(&mut connection, GenerationState::Built).await?;
        anyhow::bail!(
            "there is nothing to resume: no rebuild was interrupted while it folded. {}",
            next(built)
        )
    };
    let standing =
        generations::standing(&mut connection, generation).await?.context("the generation is gone")?;
    anyhow::ensure!(
        source.epoch == Some(standing.log_epoch),
        "generation {generation} is folded from another log than the one in Kafka, so it can't be finished. \
         `rollcall projection rebuild` drops it and begins anew"
    );
    let is_ours = standing.fold_version == FOLD_VERSION && standing.schema_hash == Some(schema_hash());
    anyhow::ensure!(
        is_ours,
        "generation {generation} was begun by another release, so it can't be finished. `rollcall projection rebuild` drops it and begins anew"
    );
    Ok(generation)
}

fn next(built: Option<i32>) -> String {
    match built {
        None => "`rollcall projection rebuild` begins one".to_owned(),
        Some(built) => format!(
            "Generation {built} is built: `rollcall projection verify {built}`, then `rollcall projection promote {built}`"
        ),
    }
}
