//! Users' keys for writes: from memory, or by questions that many writes ask together.

use crate::{origins::Origins, together::Together};
use futures_util::future::join_all;
use key_store::{DataKey, KeyRing, Keys, KeysError, Origin, Owner};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};

/// For one question.
const ANSWER: Duration = Duration::from_secs(4);

type Key = Result<Option<Arc<DataKey>>, KeysError>;

/// The way to the keys of single users.
pub(crate) struct DataKeys {
    keys: Keys,
    found: Together<Owner, Key>,
    made: Together<New, Key>,
}

/// What is asked.
#[derive(Debug)]
enum Question {
    Find,
    Make(Origin),
}

/// A key that is to be made, for an event in the log of that epoch.
type New = (Owner, u32);

impl DataKeys {
    /// `pool` leads to the read model, which says what new keys are made for.
    pub(crate) fn new(keys: Keys, pool: PgPool) -> Self {
        Self { found: found(&keys), made: made(&keys, Arc::new(Origins::new(pool))), keys }
    }

    /// A user's key, if there is one.
    pub(crate) async fn of(&self, owner: &Owner) -> Key {
        match self.keys.in_memory(owner) {
            Some(key) => Ok(Some(key)),
            None => self.found.ask(owner.clone()).await.unwrap_or_else(no_answer),
        }
    }

    /// A user's key, made where there is none, for an event in the log of that epoch. It is in the store for good before anything is sealed
    /// under it.
    pub(crate) async fn made_for(&self, owner: &Owner, epoch: u32) -> Key {
        self.made.ask((owner.clone(), epoch)).await.unwrap_or_else(no_answer)
    }
}

fn found(keys: &Keys) -> Together<Owner, Key> {
    let keys = keys.clone();
    Together::new(ANSWER, move |owners: Vec<Owner>| {
        let keys = keys.clone();
        async move { each(&keys, &Question::Find, &owners).await }
    })
}

fn made(keys: &Keys, origins: Arc<Origins>) -> Together<New, Key> {
    let keys = keys.clone();
    Together::new(ANSWER, move |new: Vec<New>| {
        let (keys, origins) = (keys.clone(), origins.clone());
        async move {
            let epoch = new.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default();
            let owners: Vec<Owner> = new.into_iter().map(|(owner, _)| owner).collect();
            match origins.of(epoch).await {
                Ok(origin) => each(&keys, &Question::Make(origin), &owners).await,
                Err(error) => vec![Err(error); owners.len()],
            }
        }
    })
}

/// One answer for each. What needs a person may be the matter of a single key, which is to harm nobody else's write.
async fn each(keys: &Keys, question: &Question, owners: &[Owner]) -> Vec<Key> {
    match question.ask(keys, owners).await {
        Ok(ring) => owners.iter().map(|owner| Ok(ring.get(owner).cloned())).collect(),
        Err(KeysError::Refused(_)) if owners.len() > 1 => {
            let alone = |owner| async move {
                Ok(question.ask(keys, std::slice::from_ref(owner)).await?.remove(owner))
            };
            join_all(owners.iter().map(alone)).await
        }
        Err(error) => vec![Err(error); owners.len()],
    }
}

impl Question {
    async fn ask(&self, keys: &Keys, owners: &[Owner]) -> Result<KeyRing, KeysError> {
        match self {
            Self::Find => keys.of_all(owners).await,
            Self::Make(origin) => keys.made_for(owners, origin).await,
        }
    }
}

fn no_answer() -> Key {
    Err(KeysError::Away("no answer in time".to_owned()))
}
