//! Pausing and resuming one projection.

use super::named;
use crate::pause::{Pause, Paused};
use read_model::projections::{self as store, pause};
use service_kit::settings::Settings;

/// Pauses a projection, unless it is paused. Nothing more is folded into it once this returns. `None`:
/// somebody resumed it at once.
///
/// # Errors
/// There is no such projection, or PostgreSQL can't be asked.
pub async fn pause(settings: &Settings, name: &str, reason: &str) -> anyhow::Result<Option<Paused>> {
    let (projection, pool) = (named(name)?, store::pool(settings)?);
    let already = !pause::insert(&pool, projection.name, reason).await?;
    Ok(pause::find(&pool, projection.name).await?.map(|paused| Paused { paused, already }))
}

/// Resumes a projection. Returns the pause that was in force.
///
/// # Errors
/// There is no such projection, or PostgreSQL can't be asked.
pub async fn resume(settings: &Settings, name: &str) -> anyhow::Result<Option<Pause>> {
    Ok(pause::resume(&store::pool(settings)?, named(name)?.name).await?)
}
