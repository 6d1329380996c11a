//! The rows of a folded batch.

use domain::evolve::{
    credential,
    user::{Change, Creation, OpenedPersonal, State, User},
};
use events_schema::{UserKey, credential::Status, personal::user_json};
use read_model::write::{CredentialKey, CredentialRow, Effects, PartitionOffset, TombstoneRow, UserRow};

/// A user that was created or updated.
pub(super) struct Written {
    pub(super) version: u64,
    /// Set if the user was created.
    pub(super) created: Option<Creation>,
    pub(super) data: OpenedPersonal,
    /// The last event.
    pub(super) at: PartitionOffset,
}

/// Adds the row of a user, if the batch has changed the user.
pub(super) fn push_user(effects: &mut Effects, key: UserKey, user: User, at: PartitionOffset) {
    let (State::Present(version) | State::Deleted(version)) = user.state else { return };
    match user.change {
        Some(Change::Write { created, written }) => {
            effects.users.push(self::user(key, Written { version, created, data: written, at }));
        }
        Some(Change::Delete { at: deleted_at }) => {
            effects.tombstones.push(TombstoneRow { key, version, deleted_at, at });
        }
        None => {}
    }
}

/// The row of a user with the response body, which is printed here once and not by every read.
pub(super) fn user(key: UserKey, written: Written) -> UserRow {
    let Written { version, created, data: OpenedPersonal { personal, key_id }, at } = written;
    let body = user_json(key.user, &personal);
    let link = personal.authentication_provider;
    let (provider_id, provider_url, subject_id) =
        link.map_or((None, None, None), |link| (link.provider_id, link.url, Some(link.subject_id)));
    let (created_at, creation_digest) = created.map(|created| (created.at, created.digest)).unzip();
    UserRow {
        key,
        version,
        created_at,
        creation_digest,
        claims: personal.claims,
        provider_id,
        provider_url,
        subject_id,
        body,
        key_id,
        at,
    }
}

/// The row of a credential.
pub(super) fn credential(
    key: CredentialKey,
    state: &credential::State,
    at: PartitionOffset,
) -> CredentialRow {
    let status = state.status.map(|status| match status {
        Status::Valid => "valid",
        Status::Suspended => "suspended",
        Status::Revoked => "revoked",
    });
    CredentialRow { key, created_at: state.created_at, status, body: state.body(), at }
}

/// Sorts the rows. All writers use one order, so that they never wait for each other's rows in a
/// circle.
pub(super) fn sort(effects: &mut Effects) {
    effects.users.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    effects.tombstones.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    effects.credentials.sort_unstable_by(|a, b| a.key.cmp(&b.key));
}
