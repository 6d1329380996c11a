//! Whether the read model has to be queried: only while requests wait for a position, or if another
//! generation may be live.

use super::POLL_INTERVAL;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Counts the requests that wait for a position.
#[derive(Default)]
pub(super) struct PollDemand {
    waiters: AtomicUsize,
    entered: Notify,
    /// Notified if another generation may be live: the poller then queries without delay.
    stale: Notify,
}

impl PollDemand {
    /// Counts one more waiter until the guard is dropped.
    pub(super) fn enter(&self) -> WaiterGuard<'_> {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        self.entered.notify_one();
        WaiterGuard(self)
    }

    /// Makes the poller query the read model now.
    pub(super) fn request_poll(&self) {
        self.stale.notify_one();
    }

    /// Resolves when the read model should be queried again.
    pub(super) async fn next_poll(&self) {
        let interval_with_waiters = async {
            self.any().await;
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        tokio::select! {
            () = interval_with_waiters => {}
            () = self.stale.notified() => {}
        }
    }

    async fn any(&self) {
        while self.waiters.load(Ordering::SeqCst) == 0 {
            self.entered.notified().await;
        }
    }
}

/// A waiter, as long as it is not dropped.
pub(super) struct WaiterGuard<'a>(&'a PollDemand);

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}
