//! The note in the health report, and the metric, if a projection fails.

use crate::metrics;
use events_schema::millis;
use read_model::projections::failures::{self, Failure};
use service_kit::{database::answered, health::Health};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often failures are looked up.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long PostgreSQL may take to answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the last look has found.
#[derive(Clone, Default)]
pub(crate) struct ProjectionsNote(Arc<Mutex<Option<String>>>);

impl ProjectionsNote {
    /// Adds the note to the health report.
    pub(crate) fn register(&self, health: &Health) {
        let note = self.clone();
        health.note("projections", move || note.0.lock().unwrap_or_else(PoisonError::into_inner).clone());
    }

    /// Looks again and again until the future is dropped.
    pub(crate) async fn run(self, pool: PgPool) {
        loop {
            // If PostgreSQL does not answer, others report it, and the last note stays.
            if let Ok(found) = answered(QUERY_TIMEOUT, failures::all(&pool)).await {
                show(&found);
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = summary(&found);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

fn show(found: &[Failure]) {
    let mut counts: BTreeMap<&str, i64> = super::names().into_iter().map(|name| (name, 0)).collect();
    for failure in found {
        *counts.entry(failure.projection.as_str()).or_default() += 1;
    }
    for (projection, count) in counts {
        metrics::PROJECTION_FAILING.with_label_values(&[projection]).set(count);
    }
}

fn summary(found: &[Failure]) -> Option<String> {
    let line = |failure: &Failure| {
        let Failure { projection, generation, reason, since, .. } = failure;
        format!("{projection}, generation {generation}, fails since {}: {reason}", millis(*since))
    };
    (!found.is_empty()).then(|| found.iter().map(line).collect::<Vec<_>>().join("; "))
}
