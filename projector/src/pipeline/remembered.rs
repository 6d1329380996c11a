//! The versions of users that this process has just committed. The next batch of such a user needs
//! no query.
//!
//! Only the owner of a partition changes its users. So a remembered version is what PostgreSQL
//! would answer, as long as the commit proves that the partition still has this owner and that
//! nothing was committed in between. This gives the rules, each with its test:
//!
//! - A version is used only in a batch that moves the user's own partition: the fence checks no
//!   other checkpoint. A record about credentials alone moves another one.
//! - Everything is forgotten with every change of the owned partitions, after every commit that
//!   did not take place, and before an operator's request changes rows behind a checkpoint.
//! - Only users are remembered that exist and are not parked. Deleted and unknown ones are loaded.

use super::Batch;
use domain::evolve::user::State;
use events_schema::{Topic, UserKey};
use read_model::write::{Effects, UserRow};
use std::collections::{BTreeSet, HashMap};

/// The most users in each of the two halves, about 5 MB in total.
const HALF_CAPACITY: usize = 25_000;

/// A user's version, and the partition of its events.
#[derive(Debug, Clone, Copy)]
struct Committed {
    version: u64,
    partition: i32,
}

/// The versions of users that were committed a short time ago.
#[derive(Debug, Default)]
pub struct RememberedUsers {
    young: HashMap<UserKey, Committed>,
    old: HashMap<UserKey, Committed>,
}

impl RememberedUsers {
    /// The states of those users of a batch that need not be loaded.
    pub fn states(&self, batch: &Batch) -> HashMap<UserKey, State> {
        let state = |key: &UserKey| {
            let Committed { version, partition } =
                self.young.get(key).or_else(|| self.old.get(key)).copied()?;
            let is_checked = batch.spans.contains_key(&(Topic::Users, partition));
            is_checked.then(|| (key.clone(), State::Present(version)))
        };
        batch.users().into_iter().filter_map(state).collect()
    }

    /// Remembers the users of a committed batch, except parked and deleted ones.
    pub fn committed(&mut self, effects: &Effects) {
        let parked = effects.dead_letters.iter().filter_map(|row| row.key.as_ref());
        let unfit: BTreeSet<&UserKey> = parked.chain(effects.erased()).chain(&effects.late).collect();
        for key in &unfit {
            self.young.remove(key);
            self.old.remove(key);
        }
        for row in effects.users.iter().filter(|row| !unfit.contains(&row.key)) {
            self.insert(row);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn insert(&mut self, row: &UserRow) {
        if self.young.len() >= HALF_CAPACITY {
            self.old = std::mem::take(&mut self.young);
        }
        let committed = Committed { version: row.version, partition: row.at.0 };
        self.young.insert(row.key.clone(), committed);
    }
}
