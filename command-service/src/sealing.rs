//! From a decision to the event that says it, with what is personal sealed under the user's own key.

use crate::domain::user::Change;
use events_schema::{
    EventType, UserKey, canonical_text,
    personal::{Base64, Binding, EncodedPersonal, Personal, Sealed},
    plain_digest,
    user::{UserCreated, UserDeleted, UserEvent, UserUpdated},
};
use key_store::{DataKey, Owner, SealError};

/// Whose key it is.
pub(crate) fn owner(key: &UserKey) -> Owner {
    Owner { tenant: key.tenant.clone(), id: key.user }
}

/// Words an event about a user; `sequence` is the user's version once it is accepted.
pub(crate) fn seal(
    key: &UserKey,
    sequence: u64,
    change: Change,
    data_key: Option<&DataKey>,
) -> Result<UserEvent, SealError> {
    let sealed = |event_type, personal: &Personal| {
        let binding = Binding { key, event_type, sequence };
        let sealed =
            data_key.ok_or(SealError)?.seal(binding.associated_data().as_bytes(), &personal.plaintext())?;
        let (nonce, ciphertext) = (Base64(sealed.nonce), Base64(sealed.ciphertext));
        Ok(EncodedPersonal::Sealed(Sealed { nonce, ciphertext }))
    };
    Ok(match change {
        Change::Created(created_at, personal) => {
            let personal = sealed(EventType::UserCreated, &personal)?;
            UserEvent::Created(UserCreated { created_at, personal })
        }
        Change::Updated(personal) => {
            UserEvent::Updated(UserUpdated { personal: sealed(EventType::UserUpdated, &personal)? })
        }
        Change::Deleted => UserEvent::Deleted(UserDeleted {}),
    })
}

/// Whether a create is of the body that has that digest: under the user's key, or without one where the creation is older than keys.
pub(crate) fn is_of(personal: &Personal, digest: &[u8], data_key: Option<&DataKey>) -> bool {
    let is_of = |key: &DataKey| key.is_fingerprint_of(canonical_text(personal).as_bytes(), digest);
    data_key.is_some_and(is_of) || plain_digest(personal) == *digest
}
