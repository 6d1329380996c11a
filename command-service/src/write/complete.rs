//! After an accepted event: a delete is complete once the user is erased.

use super::{Appended, UserLock, Write, Writer, Written};
use domain::{codec::owner, command::Command};
use events_schema::UserKey;
use read_model::read::commands::PendingErasure;
use std::time::{Duration, Instant};

/// The longest pause between two checks of an erasure.
const MAX_PAUSE: Duration = Duration::from_millis(40);

impl Writer {
    /// Completes an accepted write. A delete is complete once the user's key is destroyed and no
    /// copy of the user is left. Until then it is pending.
    pub(super) async fn complete(
        &self,
        write: &Write,
        appended: Appended,
        lock: Option<UserLock>,
        deadline: Instant,
    ) -> Written {
        let is_complete = match &write.command {
            Command::Create { .. } | Command::Update { .. } => true,
            Command::Delete => {
                self.is_erased(&write.key, deadline).await
                    && self.keys.is_destroyed(&owner(&write.key), deadline).await
            }
        };
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
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}
