//! Data keys in memory: few, and not for long.

use domain::codec::{DataKey, InUse, Owner};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// Keys in each of the two halves, at most: about 6 MB.
const HALF: usize = 25_000;
/// How long a half is filled: no key stays longer than two such times.
const HALF_LIFE: Duration = Duration::from_secs(15);

/// Owners that are noted as having a key in use before those that have none any more are looked for.
const MOST_USES: usize = 4 * HALF;

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
    valid_until: Option<Instant>,
    /// Counts evictions: a key that was read before an eviction must not be cached after it.
    drops: u64,
    /// Owners whose keys are in use, here or by whoever was handed one, or about to be.
    uses: HashMap<Owner, Weak<()>>,
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

    /// Notes that an owner's key is in use. To be taken before the store is asked: a key that is destroyed meanwhile is waited for, too.
    pub(super) fn note_use(&self, owner: &Owner) -> InUse {
        let mut state = self.state();
        if let Some(known) = state.uses.get(owner).and_then(Weak::upgrade) {
            return known;
        }
        if state.uses.len() >= MOST_USES {
            state.uses.retain(|_, used| used.strong_count() > 0);
        }
        let new = Arc::new(());
        state.uses.insert(owner.clone(), Arc::downgrade(&new));
        new
    }

    /// Whether nobody in this process uses an owner's evicted key any more.
    pub(super) fn is_free(&self, owner: &Owner) -> bool {
        let mut state = self.state();
        let is_free = state.uses.get(owner).is_none_or(|used| used.strong_count() == 0);
        if is_free {
            state.uses.remove(owner);
        }
        is_free
    }

    /// To be taken before the store is asked.
    pub(super) fn moment(&self) -> Moment {
        Moment(self.state().drops)
    }

    /// Caches keys that were read from the store, unless any key was evicted since they were read.
    pub(super) fn put(
        &self,
        keys: impl IntoIterator<Item = (Owner, Arc<DataKey>)>,
        since: Moment,
        now: Instant,
    ) {
        let mut state = self.state();
        state.age(now);
        let is_told = state.valid_until.is_some_and(|until| now < until);
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
    pub(super) fn valid_until(&self, until: Instant) {
        self.state().valid_until = Some(until);
    }

    /// Drops everything, and keeps nothing until it is told again.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        let drops = state.drops + 1;
        let uses = std::mem::take(&mut state.uses);
        *state = State { drops, uses, ..State::default() };
    }
}

impl State {
    fn age(&mut self, now: Instant) {
        if self.valid_until.is_none_or(|until| now >= until) {
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
        cache.valid_until(now + Duration::from_secs(3_600));
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
    fn a_key_is_in_use_until_the_last_who_has_it_drops_it() {
        let now = Instant::now();
        let cache = told(now);
        let asked = cache.note_use(&owner(1));
        assert!(!cache.is_free(&owner(1)), "it may be on its way from the store");
        let handed = Arc::new(DataKey::random().unwrap().in_use(Some(asked)));
        cache.put([(owner(1), handed.clone())], cache.moment(), now);
        cache.drop_keys([&owner(1)]);
        assert!(!cache.is_free(&owner(1)), "a write has it");
        drop(handed);
        assert!(cache.is_free(&owner(1)) && cache.is_free(&owner(2)));
        cache.put(
            [(owner(2), Arc::new(DataKey::random().unwrap().in_use(Some(cache.note_use(&owner(2))))))],
            cache.moment(),
            now,
        );
        cache.forget();
        assert!(cache.is_free(&owner(2)), "what is forgotten is not in use");
    }

    #[test]
    fn nothing_is_kept_by_who_is_not_told() {
        let now = Instant::now();
        let cache = Cache::default();
        cache.put([key(1)], cache.moment(), now);
        assert!(cache.get(&owner(1), now).is_none());
        cache.valid_until(now + Duration::from_secs(1));
        cache.put([key(1)], cache.moment(), now);
        assert!(cache.get(&owner(1), now).is_some());
        assert!(cache.get(&owner(1), now + Duration::from_secs(1)).is_none());
        cache.put([key(1)], cache.moment(), now);
        cache.forget();
        assert!(cache.get(&owner(1), now).is_none());
    }
}
