//! The users of a fold. A long fold packs them: what is written of a user becomes text, which takes
//! a quarter of the memory of parsed JSON. The next event of a packed user needs only the version,
//! because an update replaces all data.

use super::rows::{self, Written};
use domain::evolve::user::{Change, Creation, OpenedPersonal, State, User};
use events_schema::UserKey;
use read_model::write::{Effects, PartitionOffset, UserRow};
use std::collections::HashMap;
use uuid::Uuid;

/// A record's data takes about so many times its bytes once it is parsed.
const TIMES: usize = 4;
/// About what a user takes besides.
const MORE: usize = 512;

/// About how much memory the state takes that a record of so many bytes leaves.
pub(super) fn memory_of(bytes: usize) -> usize {
    TIMES * bytes + MORE
}

/// The users of a fold. Each of them is either open or packed.
#[derive(Default)]
pub(super) struct Users {
    open: HashMap<UserKey, OpenUser>,
    packed: HashMap<UserKey, Box<PackedUser>>,
    held: usize,
}

#[derive(Default)]
struct OpenUser {
    user: User,
    /// The last accepted event since the user was loaded or opened.
    at: Option<PartitionOffset>,
    /// About how much memory the data takes.
    held: usize,
    /// What the user was before it was opened.
    older: Option<Box<PackedUser>>,
}

/// A user that exists.
struct PackedUser {
    version: u64,
    created: Option<Creation>,
    /// Claims and link as JSON.
    personal: Box<[u8]>,
    key_id: Option<Uuid>,
    at: PartitionOffset,
}

impl Users {
    /// Users as they were loaded.
    pub(super) fn new(states: HashMap<UserKey, State>) -> Self {
        let open = |(key, state)| (key, OpenUser { user: User::new(state), ..OpenUser::default() });
        Self { open: states.into_iter().map(open).collect(), ..Self::default() }
    }

    /// The state of a user.
    pub(super) fn state(&self, key: &UserKey) -> State {
        let packed = || self.packed.get(key).map(|packed| packed.state());
        self.open.get(key).map(|open| open.user.state).or_else(packed).unwrap_or_default()
    }

    /// A user, opened to apply an event to it.
    pub(super) fn user(&mut self, key: &UserKey) -> &mut User {
        let Self { open, packed, .. } = self;
        let open = open.entry(key.clone()).or_insert_with(|| {
            let older = packed.remove(key);
            let state = older.as_ref().map(|older| older.state()).unwrap_or_default();
            OpenUser { user: User::new(state), older, ..OpenUser::default() }
        });
        &mut open.user
    }

    /// Notes which event was applied to an open user, and how many bytes it has.
    pub(super) fn applied(&mut self, key: &UserKey, at: PartitionOffset, bytes: usize) {
        let held = memory_of(bytes);
        let Some(open) = self.open.get_mut(key) else { return };
        open.at = Some(at);
        let before = std::mem::replace(&mut open.held, held);
        self.held = (self.held + held).saturating_sub(before);
    }

    /// About how much memory the users take.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Packs the users that exist.
    pub(super) fn pack(&mut self) {
        for (key, user) in self.close() {
            let user = user.pack();
            self.held += user.held();
            self.packed.insert(key, user);
        }
    }

    /// Adds the rows of all changed users to the effects.
    pub(super) fn push_rows(self, effects: &mut Effects) {
        for (key, OpenUser { user, at, .. }) in self.open {
            if let Some(at) = at {
                rows::push_user(effects, key, user, at);
            }
        }
    }

    /// Takes the users out that exist. Their rows are made one after another, in the order of the
    /// keys, because together they would take too much memory.
    pub(super) fn take_rows(&mut self) -> impl Iterator<Item = serde_json::Result<UserRow>> + use<> {
        let mut users = self.close();
        users.extend(self.packed.drain().map(|(key, user)| (key, ClosedUser::Packed(user))));
        users.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        users.into_iter().map(|(key, user)| Ok(rows::user(key, user.written()?)))
    }

    /// Takes the open users out that exist.
    fn close(&mut self) -> Vec<(UserKey, ClosedUser)> {
        let mut closed = Vec::new();
        self.open.retain(|key, open| {
            self.held = self.held.saturating_sub(open.held());
            let Some(user) = open.close() else {
                self.held += open.held();
                return true;
            };
            closed.push((key.clone(), user));
            false
        });
        closed
    }
}

/// A user that exists, of whom all events were applied.
enum ClosedUser {
    Written(Box<Written>),
    Packed(Box<PackedUser>),
}

impl OpenUser {
    fn held(&self) -> usize {
        self.held + self.older.as_ref().map_or(0, |older| older.held())
    }

    /// Takes the data out. `None`: there is none, because the user was deleted, or none of the
    /// events was accepted.
    fn close(&mut self) -> Option<ClosedUser> {
        let older = self.older.take();
        match (self.user.change.take(), self.at) {
            (Some(Change::Write { created, written }), Some(at)) => {
                let created = created.or_else(|| older?.created);
                let version = self.user.state.version();
                Some(ClosedUser::Written(Box::new(Written { version, created, data: written, at })))
            }
            (None, _) => older.map(ClosedUser::Packed),
            (deleted, _) => {
                self.user.change = deleted;
                None
            }
        }
    }
}

impl ClosedUser {
    fn pack(self) -> Box<PackedUser> {
        match self {
            Self::Written(written) => {
                let Written { version, created, data, at } = *written;
                // Maps with string keys and finite numbers: serializing these types can't fail.
                let personal = serde_json::to_vec(&data.personal).unwrap_or_default().into();
                Box::new(PackedUser { version, created, personal, key_id: data.key_id, at })
            }
            Self::Packed(packed) => packed,
        }
    }

    fn written(self) -> serde_json::Result<Written> {
        match self {
            Self::Written(written) => Ok(*written),
            Self::Packed(packed) => {
                let PackedUser { version, created, personal, key_id, at } = *packed;
                let personal = serde_json::from_slice(&personal)?;
                Ok(Written { version, created, data: OpenedPersonal { personal, key_id }, at })
            }
        }
    }
}

impl PackedUser {
    fn state(&self) -> State {
        State::Present(self.version)
    }

    fn held(&self) -> usize {
        self.personal.len() + MORE
    }
}
