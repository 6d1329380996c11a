//! Step 2, load: the states and data keys that a batch is folded on.

use super::{Batch, fold::parked_queue::ParkedQueue};
use anyhow::Context as _;
use domain::evolve::{credential, user::State};
use events_schema::{UserKey, credential::Credential};
use key_store::KeyRing;
use read_model::write::{CredentialKey, Store, StoredCredential, StoredUser};
use std::collections::{BTreeMap, HashMap};

/// The states that a batch is folded on.
#[derive(Default)]
pub struct States {
    /// The users of the batch that the read model knows.
    pub users: HashMap<UserKey, State>,
    /// The queues of the parked users among them.
    pub parked: BTreeMap<UserKey, ParkedQueue>,
    /// The data keys that exist.
    pub keys: KeyRing,
    /// The credentials of the batch that the read model knows, each with the offset of the last
    /// record about it.
    pub credentials: HashMap<CredentialKey, (credential::State, i64)>,
}

/// Loads the states and data keys of a batch.
///
/// # Errors
/// A query failed.
pub(crate) async fn load(store: &Store, batch: &Batch) -> anyhow::Result<States> {
    load_others(store, batch, HashMap::new()).await
}

/// Loads the states and data keys of a batch, except for the users that are known.
pub(super) async fn load_others(
    store: &Store,
    batch: &Batch,
    known: HashMap<UserKey, State>,
) -> anyhow::Result<States> {
    let owners = batch.key_owners();
    let keys = async { store.keys.get_many(&owners).await.map_err(anyhow::Error::from) };
    let (mut states, keys) = tokio::try_join!(load_rows(store, batch, known), keys)?;
    states.keys = keys;
    Ok(states)
}

async fn load_rows(store: &Store, batch: &Batch, known: HashMap<UserKey, State>) -> anyhow::Result<States> {
    let mut states = States { users: known, ..States::default() };
    let credentials: Vec<CredentialKey> =
        batch.credentials().into_iter().map(|(key, id)| (key.clone(), id)).collect();
    for row in store.load_credentials(&credentials).await? {
        let (key, offset) = (row.key.clone(), row.offset);
        states.credentials.insert(key, (credential_state(row)?, offset));
    }
    let is_unknown = |key: &&UserKey| !states.users.contains_key(*key);
    let users: Vec<UserKey> = batch.users().into_iter().filter(is_unknown).cloned().collect();
    let mut parked = Vec::new();
    for row in store.load_users(&users).await? {
        parked.extend(row.is_parked.then(|| row.key.clone()));
        states.users.insert(row.key.clone(), user_state(&row));
    }
    for row in store.load_queues(&parked).await? {
        let version = states.users.get(&row.key).map_or(0, |state| state.version());
        let queue = states.parked.entry(row.key).or_insert_with(|| ParkedQueue::new(version, row.is_keyless));
        queue.push(row.at, row.sequence);
    }
    Ok(states)
}

fn user_state(row: &StoredUser) -> State {
    match (row.version, row.deleted) {
        (_, Some(version)) => State::Deleted(version),
        (Some(version), None) => State::Present(version),
        (None, None) => State::Unknown,
    }
}

fn credential_state(row: StoredCredential) -> anyhow::Result<credential::State> {
    let issued = row.body.map(|body| serde_json::from_str::<Credential>(&body).map(Box::new)).transpose();
    let status = row.status.map(|status| serde_json::from_value(status.into())).transpose();
    Ok(credential::State {
        created_at: row.created_at,
        status: status.context("the stored status of a credential can't be read")?,
        // The error's own text may repeat the body.
        issued: issued.map_err(|_| anyhow::anyhow!("the stored body of a credential can't be read"))?,
    })
}
