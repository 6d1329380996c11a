//! Counts the events that were queued and those that are done (delivered or lost).

use prometheus::{IntCounter, register_int_counter};
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Notify;

/// The interval between warnings about drops, so that an outage of the log does not flood ours.
const WARN_EVERY: Duration = Duration::from_secs(10);

// Registration fails only if the name is taken. Then nothing is counted, and nothing else breaks.
static SENT: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    register_int_counter!("rollcall_analytics_sent_total", "Analytic events that the log has acknowledged")
        .ok()
});
static DROPPED: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    register_int_counter!(
        "rollcall_analytics_dropped_total",
        "Analytic events lost: queue full or not delivered"
    )
    .ok()
});

#[derive(Default)]
pub(super) struct Tally {
    queued: AtomicU64,
    settled: AtomicU64,
    changed: Notify,
    warned_at: AtomicU64,
}

impl Tally {
    /// Makes the counters visible at zero.
    pub(super) fn new() -> Self {
        LazyLock::force(&SENT);
        LazyLock::force(&DROPPED);
        Self::default()
    }

    /// Counts an event that is about to be queued.
    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts an event that is in the log.
    pub(super) fn sent(&self) {
        SENT.iter().for_each(IntCounter::inc);
        self.settle();
    }

    /// Counts an event that is lost. `reason` is a fixed text.
    pub(super) fn dropped(&self, reason: &str) {
        DROPPED.iter().for_each(IntCounter::inc);
        self.settle();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let before = self.warned_at.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(before) >= WARN_EVERY.as_secs();
        // Only the thread that wins the exchange logs the warning.
        if is_due
            && self.warned_at.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            tracing::warn!(
                total = DROPPED.as_ref().map(IntCounter::get),
                reason,
                "analytic events are being dropped"
            );
        }
    }

    /// Resolves once everything that is queued by now is delivered or lost.
    pub(super) async fn all_settled(&self) {
        let target = self.queued.load(Ordering::SeqCst);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Register before checking, so that no notification is missed.
            changed.as_mut().enable();
            if self.settled.load(Ordering::SeqCst) >= target {
                return;
            }
            changed.await;
        }
    }

    fn settle(&self) {
        self.settled.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}
