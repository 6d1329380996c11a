//! Users' keys for writes: from memory, or by questions that many writes ask together.

use crate::together::Together;
use futures_util::future::join_all;
use service_kit::keys::{DataKey, KeyRing, Keys, KeysError, Owner};
use std::{sync::Arc, time::Duration};

/// For one question.
const ANSWER: Duration = Duration::from_secs(4);

type Key = Result<Option<Arc<DataKey>>, KeysError>;

/// The way to the keys of single users.
pub(crate) struct DataKeys {
    keys: Keys,
    found: Together<Owner, Key>,
    made: Together<Owner, Key>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
enum Question {
    Find,
    Make,
}

impl DataKeys {
    pub(crate) fn new(keys: Keys) -> Self {
        let (found, made) = (together(&keys, Question::Find), together(&keys, Question::Make));
        Self { keys, found, made }
    }

    /// A user's key, if there is one.
    pub(crate) async fn of(&self, owner: &Owner) -> Key {
        match self.keys.in_memory(owner) {
            Some(key) => Ok(Some(key)),
            None => self.found.ask(owner.clone()).await.unwrap_or_else(no_answer),
        }
    }

    /// A user's key, made where there is none. It is in the store for good before anything is sealed under it.
    pub(crate) async fn made_for(&self, owner: &Owner) -> Key {
        self.made.ask(owner.clone()).await.unwrap_or_else(no_answer)
    }
}

fn together(keys: &Keys, question: Question) -> Together<Owner, Key> {
    let keys = keys.clone();
    Together::new(ANSWER, move |owners| {
        let keys = keys.clone();
        async move { each(&keys, question, &owners).await }
    })
}

/// One answer for each. What needs a person may be the matter of a single key, which is to harm nobody else's write.
async fn each(keys: &Keys, question: Question, owners: &[Owner]) -> Vec<Key> {
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
    async fn ask(self, keys: &Keys, owners: &[Owner]) -> Result<KeyRing, KeysError> {
        match self {
            Self::Find => keys.of_all(owners).await,
            Self::Make => keys.made_for(owners).await,
        }
    }
}

fn no_answer() -> Key {
    Err(KeysError::Away("no answer in time".to_owned()))
}
