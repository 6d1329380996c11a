//! How many requests wait for a position. While none does, the read model is not queried.

use super::POLL_INTERVAL;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Waiters {
    count: AtomicUsize,
    entered: Notify,
    /// Another generation may be the live one now: the poller queries without delay.
    stale: Notify,
}

impl Waiters {
    /// Counts one more, until the guard is dropped.
    pub(super) fn enter(&self) -> WaiterGuard<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
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
        while self.count.load(Ordering::SeqCst) == 0 {
            self.entered.notified().await;
        }
    }
}

pub(super) struct WaiterGuard<'a>(&'a Waiters);

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
    }
}
