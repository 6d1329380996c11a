//! Data keys for writes: from memory, or by queries that many writes share.

pub(crate) mod origins;

use crate::batcher::Batcher;
use domain::codec::{DataKey, KeyRing, Owner};
use futures_util::future::join_all;
use key_store::{Keys, KeysError, Origin};
use origins::Origins;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};

/// How long one query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(4);

type Key = Result<Option<Arc<DataKey>>, KeysError>;

/// The data keys of single users.
pub(crate) struct DataKeys {
    keys: Keys,
    find: Batcher<Owner, Key>,
    get_or_create: Batcher<New, Key>,
}

/// A query for several keys.
#[derive(Debug)]
enum Query {
    Find,
    GetOrCreate(Origin),
}

/// A key to create, and the epoch of the log in which it is used first.
type New = (Owner, u32);

impl DataKeys {
    /// `pool` is the read model's. It says which deployment and log new keys belong to.
    pub(crate) fn new(keys: Keys, pool: PgPool) -> Self {
        let get_or_create = get_or_create(&keys, Arc::new(Origins::new(pool)));
        Self { find: find(&keys), get_or_create, keys }
    }

    /// A user's key, if there is one.
    pub(crate) async fn get(&self, owner: &Owner) -> Key {
        match self.keys.get_cached(owner) {
            Some(key) => Ok(Some(key)),
            None => self.find.ask(owner.clone()).await.unwrap_or_else(timed_out),
        }
    }

    /// A user's key, created if there is none, for an event in the log of that epoch. A new key is
    /// stored durably before it is returned.
    pub(crate) async fn get_or_create(&self, owner: &Owner, epoch: u32) -> Key {
        self.get_or_create.ask((owner.clone(), epoch)).await.unwrap_or_else(timed_out)
    }
}

fn find(keys: &Keys) -> Batcher<Owner, Key> {
    let keys = keys.clone();
    Batcher::new(QUERY_TIMEOUT, move |owners: Vec<Owner>| {
        let keys = keys.clone();
        async move { answers(&keys, &Query::Find, &owners).await }
    })
}

fn get_or_create(keys: &Keys, origins: Arc<Origins>) -> Batcher<New, Key> {
    let keys = keys.clone();
    Batcher::new(QUERY_TIMEOUT, move |new: Vec<New>| {
        let (keys, origins) = (keys.clone(), origins.clone());
        async move {
            let epoch = new.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default();
            let owners: Vec<Owner> = new.into_iter().map(|(owner, _)| owner).collect();
            match origins.of_epoch(epoch).await {
                Ok(origin) => answers(&keys, &Query::GetOrCreate(origin), &owners).await,
                Err(error) => vec![Err(error); owners.len()],
            }
        }
    })
}

/// One answer for each owner. If the query is refused, each owner is queried alone, because the
/// reason may be a single key.
async fn answers(keys: &Keys, query: &Query, owners: &[Owner]) -> Vec<Key> {
    match query.run(keys, owners).await {
        Ok(ring) => owners.iter().map(|owner| Ok(ring.get(owner).cloned())).collect(),
        Err(KeysError::NeedsOperator(_)) if owners.len() > 1 => {
            let alone =
                |owner| async move { Ok(query.run(keys, std::slice::from_ref(owner)).await?.remove(owner)) };
            join_all(owners.iter().map(alone)).await
        }
        Err(error) => vec![Err(error); owners.len()],
    }
}

impl Query {
    async fn run(&self, keys: &Keys, owners: &[Owner]) -> Result<KeyRing, KeysError> {
        match self {
            Self::Find => keys.get_many(owners).await,
            Self::GetOrCreate(origin) => keys.get_or_create(owners, origin).await,
        }
    }
}

fn timed_out() -> Key {
    Err(KeysError::NoAnswer)
}
