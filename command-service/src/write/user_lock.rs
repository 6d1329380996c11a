//! Step 1: writers of one user wait for each other, so that within one process none of them can
//! overtake another.

use super::{Write, Writer};
use crate::metrics;
use domain::command::User;
use events_schema::UserKey;
use service_kit::position::LogPosition;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use uuid::Uuid;

/// The locks, by user. A user has an entry only while it has a writer.
#[derive(Clone, Default)]
pub(crate) struct UserLocks {
    users: Arc<Mutex<HashMap<UserKey, Queue>>>,
}

/// The writers of one user. The lock is fair: writers acquire it in the order of their arrival.
#[derive(Default)]
struct Queue {
    writers: usize,
    lock: Arc<AsyncMutex<Contention>>,
}

/// What the last writers of a user observed.
#[derive(Default)]
struct Contention {
    /// For how many more writes another process is assumed to write to this user too.
    remaining: u32,
    /// How long the last attempt took, from its append to its outcome.
    last_attempt: Duration,
    /// The last accepted event of this process.
    accepted: Option<LogPosition>,
    /// The accepted event before that. Rejections are looked for from here: another process whose
    /// events always come slightly later loses between this event and the last one.
    before: Option<LogPosition>,
}

/// How many writes are assumed to be contended after a sign of another process.
const CONTENDED_WRITES: u32 = 8;

/// The lock of a user. Dropping it lets the next writer proceed.
#[must_use]
pub(crate) struct UserLock {
    // Dropped in this order: the lock is released before the place in the queue.
    contention: OwnedMutexGuard<Contention>,
    _place: Place,
}

impl UserLock {
    /// Records an attempt: how long it took, and its event if that was accepted.
    pub(crate) fn record_attempt(&mut self, took: Duration, accepted: Option<LogPosition>) {
        self.contention.last_attempt = took;
        if accepted.is_some() {
            self.contention.before = std::mem::replace(&mut self.contention.accepted, accepted);
        }
    }

    /// How long the last attempt took, if another process probably writes to this user too. A newly
    /// rejected event in the user's partition is taken as a sign of that. It may be another user's:
    /// then this write pauses for nothing, but briefly.
    pub(crate) fn contended(
        &mut self,
        has_rejected_since: impl FnOnce(LogPosition) -> bool,
    ) -> Option<Duration> {
        if self.contention.before.or(self.contention.accepted).is_some_and(has_rejected_since) {
            self.contention.remaining = CONTENDED_WRITES;
        }
        self.contention.remaining = self.contention.remaining.checked_sub(1)?;
        Some(self.contention.last_attempt)
    }
}

impl UserLocks {
    /// Waits for the lock, at most for `timeout`. A write without the lock is correct too, because
    /// the log decides, but it may lose.
    pub(crate) async fn acquire(&self, key: &UserKey, timeout: Duration) -> Option<UserLock> {
        let began = Instant::now();
        let (place, lock) = self.enqueue(key);
        let acquired = tokio::time::timeout(timeout, lock.lock_owned()).await;
        metrics::waited_for_lock(began.elapsed());
        acquired.ok().map(|contention| UserLock { contention, _place: place })
    }

    fn enqueue(&self, key: &UserKey) -> (Place, Arc<AsyncMutex<Contention>>) {
        let mut users = self.users();
        let queue = users.entry(key.clone()).or_default();
        queue.writers += 1;
        (Place { locks: self.clone(), key: key.clone() }, queue.lock.clone())
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserKey, Queue>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer's place in its user's queue.
struct Place {
    locks: UserLocks,
    key: UserKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.locks.users();
        let Some(queue) = users.get_mut(&self.key) else { return };
        queue.writers -= 1;
        if queue.writers == 0 {
            users.remove(&self.key);
        }
    }
}

impl Writer {
    /// Acquires the user's lock, if that succeeds in time. A user whose id is new has no other
    /// writer.
    pub(super) async fn lock(&self, write: &Write, known: Option<&User>) -> Option<UserLock> {
        if known.is_some() {
            return None;
        }
        let mut lock = self.locks.acquire(&write.key, self.projection.lock_timeout()).await;
        let has_rejected_since = |position| self.projection.has_rejected_since(position);
        if let Some(took) = lock.as_mut().and_then(|lock| lock.contended(has_rejected_since)) {
            back_off(took, 0).await;
        }
        lock
    }
}

/// Lets a writer of another process go first, for a random time of up to two attempts. The more
/// attempts a write has made, the shorter the pause, down to none. So new writers come last and
/// none starves.
pub(super) async fn back_off(took: Duration, attempt: u32) {
    let longest = match attempt {
        0 => 2 * took,
        1 | 2 => took / (2 * attempt),
        _ => return,
    };
    let random = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    tokio::time::sleep(longest.mul_f64(random)).await;
}

#[cfg(test)]
mod tests;
