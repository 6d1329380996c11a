//! What the read model knows about the owners of keys.

use event_log::record_owner::named_users;
use events_schema::UserKey;
use key_store::{KeyWithOrigin, StoredKey};
use read_model::operate::key_owners::{self, OwnerState};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What the live generation knows about the owner of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerStatus {
    /// Something is, or may be, sealed under the key. `is_current_key`: the user's last event is
    /// sealed under exactly this one.
    Needed { is_current_key: bool },
    /// The user was deleted.
    Deleted,
    /// No such user was ever recorded.
    Unknown,
}

impl From<OwnerState> for OwnerStatus {
    fn from(state: OwnerState) -> Self {
        match state {
            OwnerState { is_deleted: true, .. } => Self::Deleted,
            OwnerState { is_known: true, is_current_key, .. } => Self::Needed { is_current_key },
            OwnerState { is_known: false, .. } => Self::Unknown,
        }
    }
}

/// The user that a key belongs to.
pub(super) fn user_of(key: &StoredKey) -> UserKey {
    UserKey { tenant: key.owner.tenant.clone(), user: key.owner.id }
}

/// The status of each key's owner, in the order of the page.
pub(super) async fn statuses(
    connection: &mut PgConnection,
    page: &[KeyWithOrigin],
) -> anyhow::Result<Vec<OwnerStatus>> {
    let keys: Vec<(UserKey, Uuid)> = page.iter().map(|key| (user_of(&key.held), key.held.id)).collect();
    let states = key_owners::states(connection, &keys).await?;
    anyhow::ensure!(states.len() == page.len(), "the read model did not answer for every key");
    Ok(states.into_iter().map(OwnerStatus::from).collect())
}

/// Traces of owners outside the live generation's users.
pub(super) struct OtherTraces {
    /// Every generation. The live one too: it may have credentials of an unknown user.
    generations: Vec<i32>,
    /// Users named by dead letters without an owner.
    named: BTreeSet<UserKey>,
    /// Partitions of `users.events` with a discarded record whose owner was not recorded.
    unclear_partitions: BTreeSet<i32>,
    /// The number of partitions.
    partitions: u32,
}

impl OtherTraces {
    pub(super) async fn load(connection: &mut PgConnection, partitions: u32) -> anyhow::Result<Self> {
        let generations = key_owners::generations(connection).await?;
        let mut named = BTreeSet::new();
        for generation in &generations {
            let letters = key_owners::letters_without_owner(connection, *generation).await?;
            named.extend(letters.iter().flat_map(|letter| named_users(letter).collect::<Vec<_>>()));
        }
        let unclear_partitions = key_owners::partitions_with_unknown_owners(connection).await?;
        Ok(Self { generations, named, unclear_partitions, partitions })
    }

    /// Those of the keys' owners of whom there is a trace.
    pub(super) async fn known(
        &self,
        connection: &mut PgConnection,
        keys: &[StoredKey],
    ) -> anyhow::Result<BTreeSet<UserKey>> {
        let users: Vec<UserKey> = keys.iter().map(user_of).collect();
        if users.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut known: BTreeSet<UserKey> =
            users.iter().filter(|user| self.may_be_named(user)).cloned().collect();
        for generation in &self.generations {
            known.extend(key_owners::in_generation(connection, *generation, &users).await?);
        }
        known.extend(key_owners::discarded(connection, &users).await?);
        Ok(known)
    }

    fn may_be_named(&self, user: &UserKey) -> bool {
        let partition = i32::try_from(user.partition(self.partitions)).unwrap_or(-1);
        self.named.contains(user) || self.unclear_partitions.contains(&partition)
    }
}
