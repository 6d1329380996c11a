//! From a new event to its record's content: personal data is sealed under the user's key.

use super::{DataKey, SealError};
use crate::command::NewEvent;
use events_schema::{
    EventType, UserKey,
    personal::{Base64, Binding, EncodedPersonal, Personal, Sealed},
    user::{UserCreated, UserDeleted, UserEvent, UserUpdated},
};

/// Encodes an event about a user. `sequence` is the user's version once the event is accepted.
///
/// # Errors
/// The event has personal data and there is no key, or sealing failed.
pub fn seal(
    key: &UserKey,
    sequence: u64,
    event: NewEvent,
    data_key: Option<&DataKey>,
) -> Result<UserEvent, SealError> {
    let sealed = |event_type: EventType, personal: &Personal| {
        let binding = Binding { key, ce_type: event_type.as_str(), sequence };
        let sealed =
            data_key.ok_or(SealError)?.seal(binding.associated_data().as_bytes(), &personal.plaintext())?;
        let (nonce, ciphertext) = (Base64(sealed.nonce), Base64(sealed.ciphertext));
        Ok(EncodedPersonal::Sealed(Sealed { nonce, ciphertext }))
    };
    Ok(match event {
        NewEvent::Created(created_at, personal) => {
            let personal = sealed(EventType::UserCreated, &personal)?;
            UserEvent::Created(UserCreated { created_at, personal })
        }
        NewEvent::Updated(personal) => {
            UserEvent::Updated(UserUpdated { personal: sealed(EventType::UserUpdated, &personal)? })
        }
        NewEvent::Deleted => UserEvent::Deleted(UserDeleted {}),
    })
}
