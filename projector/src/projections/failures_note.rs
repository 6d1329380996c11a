//! The note in the health report if a projection fails. Its metric is set with it.

use crate::metrics;
use events_schema::millis;
use read_model::projections::failures::{self, Failure};
use sqlx::PgPool;
use std::collections::BTreeMap;

/// The note about the present failures, if there are any.
pub(crate) async fn find(pool: &PgPool) -> sqlx::Result<Option<String>> {
    let found = failures::all(pool).await?;
    show(&found);
    Ok(summary(&found))
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
