//! What the clients know together: users, versions and positions.

use crate::chaos::random::Random;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// The number of hot users, which many clients write to.
const HOT: usize = 2;
/// About how many users are kept alive.
const ENOUGH: usize = 150;
/// How many positions and keys are remembered.
const RECENT: usize = 64;

/// A known user.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: String,
    /// The number of its create, which stays in its claims.
    pub(super) origin: u64,
    /// The last known version.
    pub(super) version: u64,
}

/// A create that can be repeated.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub(super) key: String,
    pub(super) n: u64,
}

/// What is known.
#[derive(Default)]
pub(super) struct World {
    numbers: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order in which they became known, hot ones first.
    alive: Vec<Known>,
    gone: Vec<Known>,
    /// Values of `Log-Position`.
    positions: Vec<String>,
    keys: Vec<Keyed>,
    /// A cursor of a list, and the last user before it.
    cursor: Option<(String, String)>,
}

impl World {
    /// A new number.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are few users, so that more should be created.
    pub(super) fn is_sparse(&self) -> bool {
        self.inner().alive.len() < ENOUGH
    }

    /// A user to write to: every third time a hot one.
    pub(super) fn to_write(&self, random: &mut Random) -> Option<Known> {
        let inner = self.inner();
        let hot = &inner.alive[..inner.alive.len().min(HOT)];
        let among = if random.below(100) < 35 { hot } else { &inner.alive };
        pick(random, among)
    }

    /// A user to delete. Never a hot one, because writes to it must go on.
    pub(super) fn to_delete(&self, random: &mut Random) -> Option<Known> {
        pick(random, self.inner().alive.get(HOT..)?)
    }

    /// A user to read: sometimes a deleted one.
    pub(super) fn to_read(&self, random: &mut Random) -> Option<Known> {
        if random.below(100) < 10 {
            return pick(random, &self.inner().gone);
        }
        self.to_write(random)
    }

    /// A position from an earlier answer.
    pub(super) fn position(&self, random: &mut Random) -> Option<String> {
        pick(random, &self.inner().positions)
    }

    /// An earlier create.
    pub(super) fn key(&self, random: &mut Random) -> Option<Keyed> {
        pick(random, &self.inner().keys)
    }

    /// The end of the last page.
    pub(super) fn cursor(&self) -> Option<(String, String)> {
        self.inner().cursor.take()
    }

    pub(super) fn leave_cursor(&self, cursor: Option<(String, String)>) {
        self.inner().cursor = cursor;
    }

    pub(super) fn heard_position(&self, token: &str) {
        push_recent(&mut self.inner().positions, token.to_owned());
    }

    pub(super) fn used_key(&self, keyed: &Keyed) {
        push_recent(&mut self.inner().keys, keyed.clone());
    }

    /// Records that a user was created, or shown by a repeated create.
    pub(super) fn created(&self, id: &str, origin: u64, version: u64) {
        let mut inner = self.inner();
        let is_known = |users: &[Known]| users.iter().any(|user| user.id == id);
        if !is_known(&inner.alive) && !is_known(&inner.gone) {
            inner.alive.push(Known { id: id.to_owned(), origin, version });
        }
    }

    /// Records that a user has a version.
    pub(super) fn seen(&self, id: &str, version: u64) {
        if let Some(user) = self.inner().alive.iter_mut().find(|user| user.id == id) {
            user.version = user.version.max(version);
        }
    }

    /// Records that a user is deleted.
    pub(super) fn deleted(&self, id: &str) {
        let mut inner = self.inner();
        if let Some(at) = inner.alive.iter().position(|user| user.id == id) {
            let user = inner.alive.remove(at);
            push_recent(&mut inner.gone, user);
        }
    }
}

/// A random one, if there is any.
fn pick<T: Clone>(random: &mut Random, among: &[T]) -> Option<T> {
    let end = u64::try_from(among.len()).ok().filter(|end| *end > 0)?;
    among.get(usize::try_from(random.below(end)).ok()?).cloned()
}

/// Adds an item, and removes the oldest one if there are too many.
fn push_recent<T>(among: &mut Vec<T>, new: T) {
    if among.len() >= RECENT {
        among.remove(0);
    }
    among.push(new);
}
