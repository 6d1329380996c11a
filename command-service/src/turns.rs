//! The writers of one user take turns, so that within one instance none of them can outrun another.

use crate::metrics;
use events_schema::UserKey;
use service_kit::position::LogPosition;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Mutex as Lock, OwnedMutexGuard};

/// Whose turn it is, user by user. A user is here while it has a writer, and no longer.
#[derive(Clone, Default)]
pub(crate) struct Turns {
    users: Arc<Mutex<HashMap<UserKey, Queue>>>,
}

/// The writers of one user; the lock is handed on in the order in which they came.
#[derive(Default)]
struct Queue {
    writers: usize,
    lock: Arc<Lock<Contest>>,
}

/// What the last writers met.
#[derive(Default)]
struct Contest {
    /// For how many more turns another instance is taken to write to this user too.
    turns: u32,
    /// How long the last try took, from its append to its fate.
    round: Duration,
    /// The last event of ours that had its effect …
    accepted: Option<LogPosition>,
    /// … and the one before: whoever is always a little later than we are loses between the two.
    before: Option<LogPosition>,
}

/// After a sign of another instance.
const TURNS_IN_CONTEST: u32 = 8;

/// A writer's turn; the next one's begins when it is dropped.
#[must_use]
pub(crate) struct Turn {
    // In this order: the lock is free before the place is given up.
    contest: OwnedMutexGuard<Contest>,
    _place: Place,
}

impl Turn {
    /// A try ended that took that long, with that event if it was accepted.
    pub(crate) fn tried(&mut self, round: Duration, accepted: Option<LogPosition>) {
        self.contest.round = round;
        if accepted.is_some() {
            self.contest.before = std::mem::replace(&mut self.contest.accepted, accepted);
        }
    }

    /// How long a try takes, if another instance writes too. An event without effect in the user's partition is taken for a sign of that:
    /// it is either ours or lost against ours.
    pub(crate) fn contested(
        &mut self,
        has_rejected_since: impl FnOnce(LogPosition) -> bool,
    ) -> Option<Duration> {
        if self.contest.before.or(self.contest.accepted).is_some_and(has_rejected_since) {
            self.contest.turns = TURNS_IN_CONTEST;
        }
        self.contest.turns = self.contest.turns.checked_sub(1)?;
        Some(self.contest.round)
    }
}

impl Turns {
    /// Waits for the turn, `patience` at most: without it a write is as right, since the log decides, but may be for nothing.
    pub(crate) async fn take(&self, key: &UserKey, patience: Duration) -> Option<Turn> {
        let began = Instant::now();
        let (place, lock) = self.line_up(key);
        let held = tokio::time::timeout(patience, lock.lock_owned()).await;
        metrics::took_turn(began.elapsed());
        held.ok().map(|contest| Turn { contest, _place: place })
    }

    fn line_up(&self, key: &UserKey) -> (Place, Arc<Lock<Contest>>) {
        let mut users = self.users();
        let queue = users.entry(key.clone()).or_default();
        queue.writers += 1;
        (Place { turns: self.clone(), key: key.clone() }, queue.lock.clone())
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserKey, Queue>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer's place in its user's queue.
struct Place {
    turns: Turns,
    key: UserKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.turns.users();
        let Some(queue) = users.get_mut(&self.key) else { return };
        queue.writers -= 1;
        if queue.writers == 0 {
            users.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use service_kit::position::Position;
    use uuid::Uuid;

    const LONG: Duration = Duration::from_secs(60);

    fn key(tenant: &str) -> UserKey {
        UserKey { tenant: tenant.parse().unwrap(), user: Uuid::nil() }
    }

    impl Turns {
        fn len(&self) -> usize {
            self.users().len()
        }
    }

    #[tokio::test]
    async fn writers_of_one_user_come_one_after_the_other_in_their_order() {
        let (turns, key) = (Turns::default(), key("acme"));
        let first = turns.take(&key, LONG).await;
        let done = Arc::new(Mutex::new(Vec::new()));
        let writers = (0..64).map(|n| {
            let (turns, key, done) = (turns.clone(), key.clone(), done.clone());
            async move {
                let _turn = turns.take(&key, LONG).await.unwrap();
                let before = done.lock().unwrap().len();
                tokio::task::yield_now().await;
                assert_eq!(done.lock().unwrap().len(), before, "two at once");
                done.lock().unwrap().push(n);
            }
        });
        let all = futures_util::future::join_all(writers);
        tokio::join!(all, async { drop(first) });
        assert_eq!(*done.lock().unwrap(), (0..64).collect::<Vec<_>>());
        assert_eq!(turns.len(), 0);
    }

    #[tokio::test]
    async fn users_and_tenants_do_not_wait_for_one_another() {
        let turns = Turns::default();
        let ours = turns.take(&key("a"), LONG).now_or_never().flatten();
        let theirs = turns.take(&key("b"), LONG).now_or_never().flatten();
        assert!(ours.is_some() && theirs.is_some());
        assert_eq!(turns.len(), 2);
        drop((ours, theirs));
        assert_eq!(turns.len(), 0);
    }

    #[tokio::test]
    async fn another_instance_is_remembered_for_a_while() {
        let (turns, key) = (Turns::default(), key("acme"));
        let mut first = turns.take(&key, LONG).await.unwrap();
        assert_eq!(first.contested(|_| true), None, "nothing of ours to be contested");
        first.tried(LONG, Some(LogPosition { epoch: 1, at: Position { partition: 0, offset: 7 } }));
        let (second, ()) = tokio::join!(turns.take(&key, LONG), async { drop(first) });
        let mut second = second.unwrap();
        assert_eq!(second.contested(|_| false), None);
        assert_eq!(second.contested(|position| position.at.offset == 7), Some(LONG));
        assert!((1..TURNS_IN_CONTEST).all(|_| second.contested(|_| false) == Some(LONG)));
        assert_eq!(second.contested(|_| false), None);
        let at = |offset| LogPosition { epoch: 1, at: Position { partition: 0, offset } };
        second.tried(LONG, Some(at(9)));
        assert_eq!(
            second.contested(|position| position == at(7)),
            Some(LONG),
            "what lost between the last two"
        );
    }

    #[tokio::test]
    async fn who_waited_long_enough_goes_without_and_leaves_nothing_behind() {
        let (turns, key) = (Turns::default(), key("acme"));
        let first = turns.take(&key, LONG).await;
        assert!(turns.take(&key, Duration::from_millis(1)).await.is_none());
        let gone = turns.take(&key, LONG);
        assert!(gone.now_or_never().is_none(), "a writer whose request is dropped leaves the queue");
        drop(first);
        assert_eq!(turns.len(), 0);
    }
}
