//! Data keys in memory: few, and not for long.

use super::{DataKey, Owner};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Keys in each of the two halves, at most: about 6 MB.
const HALF: usize = 25_000;
/// How long a half is filled: no key stays longer than two such times.
const HALF_LIFE: Duration = Duration::from_secs(15);

type Keys = HashMap<Owner, Arc<DataKey>>;

/// Keys that were asked for lately, while this cache is known to whoever destroys keys.
#[derive(Default)]
pub(super) struct Cache(Mutex<State>);

#[derive(Default)]
struct State {
    young: Keys,
    old: Keys,
    /// When the young half was begun.
    since: Option<Instant>,
    /// Until when nothing is destroyed without this cache being told.
    told_until: Option<Instant>,
    /// How often something was dropped: what was asked for before must not come in after it.
    drops: u64,
}

/// A moment in the life of a cache, from before a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

impl Cache {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of an owner, if it is here.
    pub(super) fn get(&self, owner: &Owner, now: Instant) -> Option<Arc<DataKey>> {
        let mut state = self.state();
        state.age(now);
        state.young.get(owner).or_else(|| state.old.get(owner)).cloned()
    }

    /// To be taken before the store is asked.
    pub(super) fn moment(&self) -> Moment {
        Moment(self.state().drops)
    }

    /// Keeps what the store gave, unless something was dropped since it was asked.
    pub(super) fn put(
        &self,
        keys: impl IntoIterator<Item = (Owner, Arc<DataKey>)>,
        since: Moment,
        now: Instant,
    ) {
        let mut state = self.state();
        state.age(now);
        let is_told = state.told_until.is_some_and(|until| now < until);
        if state.drops != since.0 || !is_told {
            return;
        }
        for (owner, key) in keys {
            if state.young.len() >= HALF {
                state.turn(now);
            }
            state.young.insert(owner, key);
        }
    }

    /// Drops the keys of owners.
    pub(super) fn drop_keys<'o>(&self, owners: impl IntoIterator<Item = &'o Owner>) {
        let mut state = self.state();
        state.drops += 1;
        for owner in owners {
            state.young.remove(owner);
            state.old.remove(owner);
        }
    }

    /// From now until then it is told of everything that is destroyed.
    pub(super) fn told_until(&self, until: Instant) {
        self.state().told_until = Some(until);
    }

    /// Drops everything, and keeps nothing until it is told again.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        let drops = state.drops + 1;
        *state = State { drops, ..State::default() };
    }
}

impl State {
    fn age(&mut self, now: Instant) {
        if self.told_until.is_none_or(|until| now >= until) {
            (self.young, self.old) = Default::default();
        }
        while self.since.is_none_or(|since| now.saturating_duration_since(since) >= HALF_LIFE) {
            let is_long_ago =
                self.since.is_none_or(|since| now.saturating_duration_since(since) >= 2 * HALF_LIFE);
            self.turn(now);
            if is_long_ago {
                self.old = Keys::new();
            }
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn owner(n: u128) -> Owner {
        Owner { tenant: "t".parse().unwrap(), id: Uuid::from_u128(n) }
    }

    fn key(n: u128) -> (Owner, Arc<DataKey>) {
        (owner(n), Arc::new(DataKey::random().unwrap()))
    }

    fn told(now: Instant) -> Cache {
        let cache = Cache::default();
        cache.told_until(now + Duration::from_secs(3_600));
        cache
    }

    #[test]
    fn a_key_lives_short() {
        let now = Instant::now();
        let cache = told(now);
        cache.put([key(1)], cache.moment(), now);
        assert!(cache.get(&owner(1), now + HALF_LIFE).is_some());
        assert!(cache.get(&owner(1), now + 2 * HALF_LIFE).is_none());
        cache.put([key(2)], cache.moment(), now + 2 * HALF_LIFE);
        assert!(cache.get(&owner(2), now + 5 * HALF_LIFE).is_none());
    }

    #[test]
    fn there_are_never_many() {
        let now = Instant::now();
        let cache = told(now);
        cache.put((0..80_000).map(key), cache.moment(), now);
        let state = cache.state();
        assert!(state.young.len() + state.old.len() <= 2 * HALF);
    }

    #[test]
    fn what_was_asked_for_before_a_drop_does_not_come_back() {
        let now = Instant::now();
        let cache = told(now);
        cache.put([key(1), key(2)], cache.moment(), now);
        let before = cache.moment();
        cache.drop_keys([&owner(1)]);
        cache.put([key(1)], before, now);
        assert!(cache.get(&owner(1), now).is_none() && cache.get(&owner(2), now).is_some());
    }

    #[test]
    fn nothing_is_kept_by_who_is_not_told() {
        let now = Instant::now();
        let cache = Cache::default();
        cache.put([key(1)], cache.moment(), now);
        assert!(cache.get(&owner(1), now).is_none());
        cache.told_until(now + Duration::from_secs(1));
        cache.put([key(1)], cache.moment(), now);
        assert!(cache.get(&owner(1), now).is_some());
        assert!(cache.get(&owner(1), now + Duration::from_secs(1)).is_none());
        cache.put([key(1)], cache.moment(), now);
        cache.forget();
        assert!(cache.get(&owner(1), now).is_none());
    }
}
