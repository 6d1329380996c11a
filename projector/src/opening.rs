//! From a fact as it stands in the log to what it says, by way of its user's key.

use crate::fold::user::{Creation, Fact, Written};
use events_schema::{
    UserKey, UserRecord, canonical_text,
    personal::{Binding, EncodedPersonal, Personal, Sealed},
    plain_digest,
    user::UserEvent,
};
use service_kit::keys::{DataKey, KeyRing, Owner};

/// The reason of a fact whose key is not there though nothing says that its user was deleted.
pub const NO_KEY: &str =
    "its key is missing: restore the key store, then retry; if the user was to be erased, discard";
/// The reason of a fact that was not sealed under the key that it names.
const NOT_OPENED: &str = "it can't be opened with its key";

/// Whose key it is.
pub fn owner(key: &UserKey) -> Owner {
    Owner { tenant: key.tenant.clone(), id: key.user }
}

/// Opens a fact with the keys that there are.
///
/// # Errors
/// The reason why it can't be opened.
pub(crate) fn open(record: UserRecord, keys: &KeyRing) -> Result<Fact, &'static str> {
    let event_type = record.event.event_type();
    let binding = Binding { key: &record.key, event_type, sequence: record.sequence };
    let data_key = keys.get(&owner(&record.key)).filter(|key| Some(key.id()) == record.key_id);
    let opened = |personal| match personal {
        EncodedPersonal::Plain(personal) => Ok::<_, &'static str>((personal, None)),
        EncodedPersonal::Sealed(sealed) => {
            let key = data_key.ok_or(NO_KEY)?;
            Ok((unseal(&sealed, &binding, key).ok_or(NOT_OPENED)?, Some(key)))
        }
    };
    match record.event {
        UserEvent::Created(data) => {
            let (personal, key) = opened(data.personal)?;
            let digest = match key {
                Some(key) => key.digest(canonical_text(&personal).as_bytes()),
                None => plain_digest(&personal),
            };
            let key_id = key.map(|key| key.id());
            Ok(Fact::Created(Creation { at: data.created_at, digest }, Written { personal, key_id }))
        }
        UserEvent::Updated(data) => {
            let (personal, key) = opened(data.personal)?;
            Ok(Fact::Updated(Written { personal, key_id: key.map(|key| key.id()) }))
        }
        UserEvent::Deleted(_) => Ok(Fact::Deleted),
    }
}

/// Opens a sealed part; `None`: it was not sealed under this key for that event.
pub(crate) fn unseal(sealed: &Sealed, binding: &Binding<'_>, key: &DataKey) -> Option<Personal> {
    let associated = binding.associated_data();
    let text = key.open(associated.as_bytes(), &sealed.nonce.0, &sealed.ciphertext.0).ok()?;
    Personal::of_plaintext(&text)
}

#[cfg(test)]
mod tests;
