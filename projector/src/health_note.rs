//! A note in the health report that is looked up in PostgreSQL again and again.

use service_kit::{database::answered, health::Health};
use sqlx::PgPool;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often the note is looked up.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long PostgreSQL may take to answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the last look has found.
pub(crate) struct HealthNote(Arc<Mutex<Option<String>>>);

impl HealthNote {
    /// Adds the note `name` to the health report.
    pub(crate) fn register(health: &Health, name: &'static str) -> Self {
        let note = Arc::<Mutex<Option<String>>>::default();
        let shown = note.clone();
        health.note(name, move || shown.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Self(note)
    }

    /// Looks again and again until the future is dropped.
    pub(crate) async fn watch(
        self,
        pool: PgPool,
        look: impl AsyncFn(&PgPool) -> sqlx::Result<Option<String>>,
    ) {
        loop {
            // If PostgreSQL does not answer, others report it, and the last note stays.
            if let Ok(found) = answered(QUERY_TIMEOUT, look(&pool)).await {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
