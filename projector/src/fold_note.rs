//! The note in the health report if an older fold has made the live generation.

use read_model::generation;
use service_kit::{database::answered, health::Health, settings::Settings};
use sqlx::PgPool;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often the live generation is looked up.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long PostgreSQL may take to answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// What to tell operators if an older fold has made the live generation.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn older_fold(settings: &Settings) -> anyhow::Result<Option<String>> {
    let pool = read_model::pool(settings)?;
    let found = generation::older_fold(&pool).await;
    pool.close().await;
    Ok(found?)
}

/// What the last look has found.
#[derive(Clone, Default)]
pub(crate) struct FoldNote(Arc<Mutex<Option<String>>>);

impl FoldNote {
    /// Adds the note to the health report.
    pub(crate) fn register(&self, health: &Health) {
        let note = self.clone();
        health.note("generation", move || note.0.lock().unwrap_or_else(PoisonError::into_inner).clone());
    }

    /// Looks again and again until the future is dropped.
    pub(crate) async fn run(self, pool: PgPool) {
        loop {
            // If PostgreSQL does not answer, others report it, and the last note stays.
            if let Ok(found) = answered(QUERY_TIMEOUT, generation::older_fold(&pool)).await {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
