//! How many events were taken in, and how many of them have met their end.

use prometheus::{IntCounter, register_int_counter};
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Notify;

/// Between two warnings about drops, so that an outage of the log does not flood ours.
const WARN_EVERY: Duration = Duration::from_secs(10);

// Registering fails only where the name is taken; then nothing is counted, and nothing else suffers.
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

    /// An event is about to be put into the queue.
    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Ordering::SeqCst);
    }

    /// An event is in the log.
    pub(super) fn sent(&self) {
        SENT.iter().for_each(IntCounter::inc);
        self.settle();
    }

    /// An event is lost; `reason` in fixed words.
    pub(super) fn dropped(&self, reason: &str) {
        DROPPED.iter().for_each(IntCounter::inc);
        self.settle();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let before = self.warned_at.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(before) >= WARN_EVERY.as_secs();
        // One of many at once wins the exchange and speaks for all.
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

    /// Resolves once everything that is queued by now has met its end.
    pub(super) async fn all_settled(&self) {
        let target = self.queued.load(Ordering::SeqCst);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listen first, look then: nothing can slip through between.
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
