//! Looks at the log again and again: whether it still begins where it began, and whether its topics keep what they promise. What is found is in
//! the health report, the log and a gauge; nothing stops for it.

use crate::metrics;
use event_log::cuts;
use futures_util::FutureExt as _;
use service_kit::{health::Health, kafka, settings::Settings};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(20);

/// What was found at the last look, in words.
#[derive(Clone, Default)]
pub(crate) struct LogWatch(Arc<Mutex<Vec<String>>>);

impl LogWatch {
    /// Shows it in the health report. The service goes on with it, so it is ready all the same.
    pub(crate) fn mount(&self, health: &Health) {
        let watch = self.clone();
        health.add_optional("log", move || {
            let found = watch.found().clone();
            async move { if found.is_empty() { Ok(()) } else { Err(found.join(". ")) } }.boxed()
        });
    }

    /// Looks until it is dropped.
    pub(crate) async fn run(self, settings: Settings) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.look(&settings).await;
        }
    }

    async fn look(&self, settings: &Settings) {
        // Where the stores can't be asked, that is told elsewhere, and what was found last stands.
        let (Ok(cuts), Ok(faults)) = (cuts::cuts(settings).await, kafka::topic_faults(settings).await) else {
            return;
        };
        let cuts: Vec<_> = cuts.into_iter().filter(|cut| !cut.accepted).collect();
        metrics::LOG_CUTS.set(i64::try_from(cuts.len()).unwrap_or(i64::MAX));
        metrics::TOPIC_FAULTS.set(i64::try_from(faults.len()).unwrap_or(i64::MAX));
        let mut found: Vec<_> = faults.iter().map(ToString::to_string).collect();
        if !cuts.is_empty() {
            found
                .push(format!("{}. `rollcall projection accept-cut` shows more", cuts::describe_cuts(&cuts)));
        }
        self.tell(found);
    }

    fn tell(&self, found: Vec<String>) {
        let mut before = self.found();
        for new in found.iter().filter(|new| !before.contains(new)) {
            tracing::warn!(reason = new, "the log may lose events, or has lost some");
        }
        if found.is_empty() && !before.is_empty() {
            tracing::info!("nothing is wrong with the log's topics any more");
        }
        *before = found;
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
