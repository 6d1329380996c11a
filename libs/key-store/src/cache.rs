//! Caches data keys in memory: few, and only briefly.

use domain::codec::{DataKey, InUse, Owner};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// The maximum number of keys in each of the two halves, about 6 MB in total.
const HALF_CAPACITY: usize = 25_000;
/// How long a half is filled. No key stays longer than twice that.
const HALF_LIFETIME: Duration = Duration::from_secs(15);

/// How many owners may be registered as in use before stale entries are removed.
const MOST_USES: usize = 4 * HALF_CAPACITY;

type Keys = HashMap<Owner, Arc<DataKey>>;

/// Recently used keys, kept only while key destroyers know of this cache.
#[derive(Default)]
pub(super) struct Cache(Mutex<State>);

#[derive(Default)]
struct State {
    young: Keys,
    old: Keys,
    /// When the young half was started.
    since: Option<Instant>,
    /// Until when this cache is guaranteed to hear of every destruction.
    valid_until: Option<Instant>,
    /// Counts evictions: a key that was read before an eviction must not be cached after it.
    evictions: u64,
    /// Owners whose keys are, or are about to be, in use in this process.
    uses: HashMap<Owner, Weak<()>>,
}

/// The eviction count before a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct EvictionCount(u64);

impl Cache {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of an owner, if it is cached.
    pub(super) fn get(&self, owner: &Owner, now: Instant) -> Option<Arc<DataKey>> {
        let mut state = self.state();
        state.age(now);
        state.young.get(owner).or_else(|| state.old.get(owner)).cloned()
    }

    /// Registers that an owner's key is in use. Call this before querying the store, so that a
    /// destruction that happens meanwhile waits for the use, too.
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

    /// Call this before querying the store.
    pub(super) fn eviction_count(&self) -> EvictionCount {
        EvictionCount(self.state().evictions)
    }

    /// Caches keys that were read from the store, unless any key was evicted since `since`.
    pub(super) fn put(
        &self,
        keys: impl IntoIterator<Item = (Owner, Arc<DataKey>)>,
        since: EvictionCount,
        now: Instant,
    ) {
        let mut state = self.state();
        state.age(now);
        let is_valid = state.valid_until.is_some_and(|until| now < until);
        if state.evictions != since.0 || !is_valid {
            return;
        }
        for (owner, key) in keys {
            if state.young.len() >= HALF_CAPACITY {
                state.rotate_halves(now);
            }
            state.young.insert(owner, key);
        }
    }

    /// Evicts the keys of these owners.
    pub(super) fn evict<'o>(&self, owners: impl IntoIterator<Item = &'o Owner>) {
        let mut state = self.state();
        state.evictions += 1;
        for owner in owners {
            state.young.remove(owner);
            state.old.remove(owner);
        }
    }

    /// Declares that every destruction is announced to this cache until `until`.
    pub(super) fn valid_until(&self, until: Instant) {
        self.state().valid_until = Some(until);
    }

    /// Evicts everything and caches nothing until the next `valid_until`.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        let evictions = state.evictions + 1;
        let uses = std::mem::take(&mut state.uses);
        *state = State { evictions, uses, ..State::default() };
    }
}

impl State {
    fn age(&mut self, now: Instant) {
        if self.valid_until.is_none_or(|until| now >= until) {
            (self.young, self.old) = Default::default();
        }
        while self.since.is_none_or(|since| now.saturating_duration_since(since) >= HALF_LIFETIME) {
            let is_long_ago =
                self.since.is_none_or(|since| now.saturating_duration_since(since) >= 2 * HALF_LIFETIME);
            self.rotate_halves(now);
            if is_long_ago {
                self.old = Keys::new();
            }
        }
    }

    fn rotate_halves(&mut self, now: Instant) {
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
        cache.put([key(1)], cache.eviction_count(), now);
        assert!(cache.get(&owner(1), now + HALF_LIFETIME).is_some());
        assert!(cache.get(&owner(1), now + 2 * HALF_LIFETIME).is_none());
        cache.put([key(2)], cache.eviction_count(), now + 2 * HALF_LIFETIME);
        assert!(cache.get(&owner(2), now + 5 * HALF_LIFETIME).is_none());
    }

    #[test]
    fn there_are_never_many() {
        let now = Instant::now();
        let cache = told(now);
        cache.put((0..80_000).map(key), cache.eviction_count(), now);
        let state = cache.state();
        assert!(state.young.len() + state.old.len() <= 2 * HALF_CAPACITY);
    }

    #[test]
    fn what_was_asked_for_before_a_drop_does_not_come_back() {
        let now = Instant::now();
        let cache = told(now);
        cache.put([key(1), key(2)], cache.eviction_count(), now);
        let before = cache.eviction_count();
        cache.evict([&owner(1)]);
        cache.put([key(1)], before, now);
        assert!(cache.get(&owner(1), now).is_none() && cache.get(&owner(2), now).is_some());
    }

    #[test]
    fn a_key_is_in_use_until_the_last_holder_drops_it() {
        let now = Instant::now();
        let cache = told(now);
        let asked = cache.note_use(&owner(1));
        assert!(!cache.is_free(&owner(1)), "it may be on its way from the store");
        let handed = Arc::new(DataKey::random().unwrap().in_use(Some(asked)));
        cache.put([(owner(1), handed.clone())], cache.eviction_count(), now);
        cache.evict([&owner(1)]);
        assert!(!cache.is_free(&owner(1)), "a write has it");
        drop(handed);
        assert!(cache.is_free(&owner(1)) && cache.is_free(&owner(2)));
        cache.put(
            [(owner(2), Arc::new(DataKey::random().unwrap().in_use(Some(cache.note_use(&owner(2))))))],
            cache.eviction_count(),
            now,
        );
        cache.clear();
        assert!(cache.is_free(&owner(2)), "what is forgotten is not in use");
    }

    #[test]
    fn nothing_is_kept_by_who_is_not_told() {
        let now = Instant::now();
        let cache = Cache::default();
        cache.put([key(1)], cache.eviction_count(), now);
        assert!(cache.get(&owner(1), now).is_none());
        cache.valid_until(now + Duration::from_secs(1));
        cache.put([key(1)], cache.eviction_count(), now);
        assert!(cache.get(&owner(1), now).is_some());
        assert!(cache.get(&owner(1), now + Duration::from_secs(1)).is_none());
        cache.put([key(1)], cache.eviction_count(), now);
        cache.clear();
        assert!(cache.get(&owner(1), now).is_none());
    }
}
