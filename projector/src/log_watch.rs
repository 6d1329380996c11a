//! Checks the log periodically: whether partitions have lost their beginning, and whether the
//! settings of the topics are safe. Problems are shown in the health report, the log and gauges.
//! They stop nothing.

use crate::metrics;
use event_log::cuts;
use futures_util::FutureExt as _;
use service_kit::{health::Health, kafka, settings::Settings};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The pause between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(20);

/// The problems that the last check found.
#[derive(Clone, Default)]
pub(crate) struct LogWatch(Arc<Mutex<Vec<String>>>);

impl LogWatch {
    /// Adds the check to the health report. The service works with these problems, so it stays
    /// ready.
    pub(crate) fn register(&self, health: &Health) {
        let watch = self.clone();
        health.add_optional("log", move || {
            let problems = watch.problems().clone();
            async move { if problems.is_empty() { Ok(()) } else { Err(problems.join(". ")) } }.boxed()
        });
    }

    /// Checks until the future is dropped.
    pub(crate) async fn run(self, settings: Settings) {
        let mut interval = tokio::time::interval(CHECK_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.check(&settings).await;
        }
    }

    async fn check(&self, settings: &Settings) {
        // If Kafka or PostgreSQL can't be asked, others report that, and the last result stays.
        let (Ok(cuts), Ok(faults)) = (cuts::cuts(settings).await, kafka::topic_faults(settings).await) else {
            return;
        };
        let cuts: Vec<_> = cuts.into_iter().filter(|cut| !cut.accepted).collect();
        metrics::LOG_CUTS.set(i64::try_from(cuts.len()).unwrap_or(i64::MAX));
        metrics::TOPIC_FAULTS.set(i64::try_from(faults.len()).unwrap_or(i64::MAX));
        let mut problems: Vec<_> = faults.iter().map(ToString::to_string).collect();
        if !cuts.is_empty() {
            problems
                .push(format!("{}. `rollcall projection accept-cut` shows more", cuts::describe_cuts(&cuts)));
        }
        self.report(problems);
    }

    fn report(&self, problems: Vec<String>) {
        let mut before = self.problems();
        for new in problems.iter().filter(|new| !before.contains(new)) {
            tracing::warn!(reason = new, "the log may lose events, or has lost some already");
        }
        if problems.is_empty() && !before.is_empty() {
            tracing::info!("the problems of the log's topics are solved");
        }
        *before = problems;
    }

    fn problems(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
