//! Pausing and resuming the projectors.

pub use read_model::operate::pause::Pause;
use read_model::operate::pause::{self, PausedBy};
use service_kit::settings::Settings;

/// The result of a request for a pause.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Paused {
    /// The pause.
    pub paused: Pause,
    /// Whether the projectors were paused already, so that nothing changed.
    pub already: bool,
}

/// Pauses the projectors for an operator, unless they are paused. Nothing more is folded once it
/// returns. `None`: somebody resumed them at once.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn pause(settings: &Settings, reason: &str) -> anyhow::Result<Option<Paused>> {
    let pool = read_model::pool(settings)?;
    let already = !pause::insert(&pool, PausedBy::Operator, reason).await?;
    Ok(pause::find(&pool).await?.map(|paused| Paused { paused, already }))
}

/// Resumes the projectors. Returns the pause that was in force.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn resume(settings: &Settings) -> anyhow::Result<Option<Pause>> {
    Ok(pause::resume(&read_model::pool(settings)?).await?)
}

/// The pause, if there is one.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn paused(settings: &Settings) -> anyhow::Result<Option<Pause>> {
    Ok(pause::find(&read_model::pool(settings)?).await?)
}
