//! After an accepted deletion: wait until nothing of the user is left.

use super::{Appended, UserLock, Writer, Written};
use domain::codec::owner;
use events_schema::UserKey;
use read_model::read::after_write::PendingErasure;
use std::time::{Duration, Instant};

/// The longest pause between two checks of an erasure.
const MAX_CHECK_INTERVAL: Duration = Duration::from_millis(40);

impl Writer {
    /// Completes an accepted delete: waits until the user's key is destroyed and no copy of the
    /// user is left. If that takes too long, the delete is pending.
    pub(super) async fn await_erasure(
        &self,
        key: &UserKey,
        appended: Appended,
        lock: Option<UserLock>,
        deadline: Instant,
    ) -> Written {
        let is_complete =
            self.is_erased(key, deadline).await && self.keys.is_destroyed(&owner(key), deadline).await;
        if is_complete { Written::Accepted(appended) } else { Written::Pending(appended, lock) }
    }

    /// Waits while the user's key is about to be destroyed in the other database, and returns
    /// whether nothing is left. It does not wait for a cache that does not answer, because that may
    /// take long.
    async fn is_erased(&self, key: &UserKey, deadline: Instant) -> bool {
        let mut pause = Duration::from_millis(1);
        loop {
            match self.users.pending_erasure(key).await {
                Ok(PendingErasure::None) => return true,
                Ok(PendingErasure::Key) if Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                }
                Ok(_) | Err(_) => return false,
            }
            pause = (pause * 2).min(MAX_CHECK_INTERVAL);
        }
    }
}
