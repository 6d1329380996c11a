//! Finds the keys whose records lie in two partitions. Their records are gathered and merged, as
//! many keys at once as fit into memory. All other records are copied as they are read.

use super::homes::{Home, Homes};
use events_schema::UserKey;
use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// The most bytes of records that are gathered at once.
const MAX_GATHERED: usize = 256 << 20;

/// What was seen of each key, by the key's hash. Two keys with one hash are gathered together and
/// then told apart.
#[derive(Default)]
pub(super) struct Survey(HashMap<u64, Seen>);

#[derive(Default)]
struct Seen {
    bytes: usize,
    first: bool,
    second: bool,
}

/// Groups of keys that are gathered at once.
pub(super) struct Split {
    groups: Vec<HashSet<u64>>,
    /// The number of keys.
    pub(super) keys: u64,
}

fn hash(key: &UserKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

impl Survey {
    /// Adds a record.
    pub(super) fn add(&mut self, homes: &Homes, key: &UserKey, partition: i32, bytes: usize) {
        if !homes.has_two(key) {
            return;
        }
        let seen = match homes.home(Some(key), partition) {
            Home::Nowhere => return,
            Home::First => Seen { bytes, first: true, second: false },
            Home::Second => Seen { bytes, first: false, second: true },
        };
        let all = self.0.entry(hash(key)).or_default();
        all.bytes += seen.bytes;
        (all.first, all.second) = (all.first || seen.first, all.second || seen.second);
    }

    /// The keys with records in both homes, in groups.
    pub(super) fn split(self) -> Split {
        let (mut groups, mut bytes, mut keys) = (Vec::<HashSet<u64>>::new(), MAX_GATHERED, 0);
        for (key, seen) in self.0.into_iter().filter(|(_, seen)| seen.first && seen.second) {
            if bytes + seen.bytes > MAX_GATHERED {
                bytes = 0;
                groups.push(HashSet::new());
            }
            bytes += seen.bytes;
            keys += 1;
            if let Some(group) = groups.last_mut() {
                group.insert(key);
            }
        }
        Split { groups, keys }
    }
}

impl Split {
    /// The group in which a record is gathered, if any.
    pub(super) fn group(&self, homes: &Homes, key: Option<&UserKey>, partition: i32) -> Option<usize> {
        let key = key.filter(|key| homes.has_two(key))?;
        if homes.home(Some(key), partition) == Home::Nowhere {
            return None;
        }
        let hash = hash(key);
        self.groups.iter().position(|group| group.contains(&hash))
    }

    /// How often the log is read: at least once.
    pub(super) fn passes(&self) -> usize {
        self.groups.len().max(1)
    }
}
