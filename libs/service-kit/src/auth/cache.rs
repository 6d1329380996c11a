//! Caches verified tokens, so that a busy client costs one signature check a minute.

use super::principal::Principal;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{PoisonError, RwLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const SHARDS: usize = 16;
const MAX_PER_SHARD: usize = 640;
const MAX_AGE: Duration = Duration::from_secs(60);

/// A verified token's principal, its expiry, and the key set that verified it.
struct Entry {
    principal: Principal,
    keys: u64,
    until: Instant,
}

type Shard = RwLock<HashMap<Box<str>, Entry>>;

/// Verified tokens, by their text. Bounded. Only verified tokens are stored.
#[derive(Default)]
pub(super) struct Cache {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

impl Cache {
    /// The principal that key set `keys` verified for this token, if the entry has not expired.
    pub(super) fn get(&self, token: &str, keys: u64) -> Option<Principal> {
        let shard = self.shard(token).read().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.get(token)?;
        (entry.keys == keys && Instant::now() < entry.until).then(|| entry.principal.clone())
    }

    /// Keeps a verified token until `expires_at` (Unix seconds), but at most one minute.
    pub(super) fn put(&self, token: &str, keys: u64, principal: Principal, expires_at: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let Some(left) = Duration::from_secs(expires_at).checked_sub(now) else { return };
        let until = Instant::now() + left.min(MAX_AGE);
        let mut shard = self.shard(token).write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= MAX_PER_SHARD {
            make_room(&mut shard, keys);
        }
        shard.insert(token.into(), Entry { principal, keys, until });
    }

    fn shard(&self, token: &str) -> &Shard {
        &self.shards[self.hasher.hash_one(token) as usize % SHARDS]
    }
}

/// Removes expired entries, and those of other key sets. If none is left to remove, removes an
/// arbitrary one.
fn make_room(shard: &mut HashMap<Box<str>, Entry>, keys: u64) {
    let now = Instant::now();
    shard.retain(|_, entry| entry.keys == keys && now < entry.until);
    if shard.len() >= MAX_PER_SHARD
        && let Some(first) = shard.keys().next().cloned()
    {
        shard.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal() -> Principal {
        Principal { tenant: "acme".parse().unwrap(), client_id: None, can_read: true, can_write: false }
    }

    fn in_an_hour() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600
    }

    #[test]
    fn an_entry_is_good_for_its_key_set_alone() {
        let cache = Cache::default();
        cache.put("t", 1, principal(), in_an_hour());
        assert!(cache.get("t", 1).is_some());
        assert!(cache.get("t", 2).is_none());
        assert!(cache.get("u", 1).is_none());
    }

    #[test]
    fn an_expired_token_is_not_kept() {
        let cache = Cache::default();
        cache.put("t", 1, principal(), 1);
        assert!(cache.get("t", 1).is_none());
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let cache = Cache::default();
        for n in 0..SHARDS * MAX_PER_SHARD * 2 {
            cache.put(&n.to_string(), 1, principal(), in_an_hour());
        }
        for shard in &cache.shards {
            assert!(shard.read().unwrap().len() <= MAX_PER_SHARD);
        }
    }
}
