//! From a record's content to its event: personal data is opened with the user's key.

use super::{DataKey, KeyRing, canonical_text, owner, plain_digest};
use crate::evolve::user::{Creation, Fact, OpenedPersonal};
use events_schema::{
    ReasonCode, UserRecord,
    personal::{Binding, EncodedPersonal, Personal, Sealed},
    read_personal,
    user::UserEvent,
};

/// Opens the event of a record with the given keys.
///
/// # Errors
/// The reason why it can't be opened.
pub fn open(record: UserRecord, keys: &KeyRing) -> Result<Fact, ReasonCode> {
    let binding = Binding { key: &record.key, ce_type: record.ce_type, sequence: record.sequence };
    let data_key = keys.get(&owner(&record.key)).filter(|key| Some(key.id()) == record.key_id);
    let opened = |personal| match personal {
        EncodedPersonal::Plain(personal) => Ok::<_, ReasonCode>((personal, None)),
        EncodedPersonal::Sealed(sealed) => {
            let key = data_key.ok_or(ReasonCode::KeyMissing)?;
            Ok((unseal(&sealed, &binding, key).ok_or(ReasonCode::NotOpened)?, Some(key)))
        }
    };
    match record.event {
        UserEvent::Created(data) => {
            let (personal, key) = opened(data.personal)?;
            let digest = match key {
                Some(key) => key
                    .fingerprint(canonical_text(&personal).as_bytes())
                    .map_err(|_| ReasonCode::NotOpened)?,
                None => plain_digest(&personal),
            };
            let key_id = key.map(|key| key.id());
            Ok(Fact::Created(Creation { at: data.created_at, digest }, OpenedPersonal { personal, key_id }))
        }
        UserEvent::Updated(data) => {
            let (personal, key) = opened(data.personal)?;
            Ok(Fact::Updated(OpenedPersonal { personal, key_id: key.map(|key| key.id()) }))
        }
        UserEvent::Deleted(_) => Ok(Fact::Deleted),
    }
}

/// Opens sealed personal data. Returns `None` if it was not sealed under this key for that event.
pub fn unseal(sealed: &Sealed, binding: &Binding<'_>, key: &DataKey) -> Option<Personal> {
    let associated = binding.associated_data();
    let text = key.open(associated.as_bytes(), &sealed.nonce.0, &sealed.ciphertext.0).ok()?;
    read_personal(binding.ce_type, &text)
}

#[cfg(test)]
mod tests;
