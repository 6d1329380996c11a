//! The keys whose records lie in two partitions. They are gathered and put in order, as many at once as fit into memory; all others are copied
//! as they are read.

use super::homes::{Home, Homes};
use events_schema::UserKey;
use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// Bytes of records that are gathered at once.
const GATHERED: usize = 256 << 20;

/// Keys by a hash: two keys that share one are gathered together, and told apart then.
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
    /// How many keys that are.
    pub(super) keys: u64,
}

fn hash(key: &UserKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

impl Survey {
    /// Takes notice of a record.
    pub(super) fn see(&mut self, homes: &Homes, key: &UserKey, partition: i32, bytes: usize) {
        if !homes.are_two(key) {
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

    /// The keys that were seen at both homes.
    pub(super) fn split(self) -> Split {
        let (mut groups, mut bytes, mut keys) = (Vec::<HashSet<u64>>::new(), GATHERED, 0);
        for (key, seen) in self.0.into_iter().filter(|(_, seen)| seen.first && seen.second) {
            if bytes + seen.bytes > GATHERED {
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
    /// In which group a record is gathered, if in any.
    pub(super) fn group(&self, homes: &Homes, key: Option<&UserKey>, partition: i32) -> Option<usize> {
        let key = key.filter(|key| homes.are_two(key))?;
        if homes.home(Some(key), partition) == Home::Nowhere {
            return None;
        }
        let hash = hash(key);
        self.groups.iter().position(|group| group.contains(&hash))
    }

    /// How often the log is read: once in any case.
    pub(super) fn passes(&self) -> usize {
        self.groups.len().max(1)
    }
}
