//! Turns events into records for the log.

use super::{Content, ImportedEvent};
use crate::log::Record;
use domain::{
    codec::{owner, seal},
    command::NewEvent,
};
use events_schema::{Envelope, EventType, UserKey, millis};
use key_store::{DataKey, Keys, Origin, Owner, SealError};
use std::{collections::HashMap, sync::Arc};
use time::OffsetDateTime;
use uuid::Uuid;

/// The records of these events, with their line numbers. The users' keys are stored first.
pub(super) async fn records(
    keys: &Keys,
    origin: &Origin,
    events: Vec<ImportedEvent>,
) -> anyhow::Result<Vec<(u64, Record)>> {
    let is_user = |event: &&ImportedEvent| matches!(event.content, Content::User(..));
    let owners: Vec<Owner> = events.iter().filter(is_user).map(|event| owner(&event.key)).collect();
    let ring = if owners.is_empty() { HashMap::new() } else { keys.get_or_create(&owners, origin).await? };
    let record = |ImportedEvent { line, key, content, .. }| {
        let data_key = ring.get(&owner(&key)).map(Arc::as_ref);
        sealed(key, content, data_key).map(|record| (line, record))
    };
    Ok(events.into_iter().map(record).collect::<Result<_, SealError>>()?)
}

pub(super) fn sealed(
    key: UserKey,
    content: Content,
    data_key: Option<&DataKey>,
) -> Result<Record, SealError> {
    match content {
        Content::Credential(value) => Ok(record(key, EventType::CredentialIssued, None, None, value)),
        Content::User(created_at, personal) => {
            let event = seal(&key, 1, NewEvent::Created(created_at, personal), data_key)?;
            Ok(record(key, event.event_type(), Some(1), data_key.map(DataKey::id), event.data()))
        }
    }
}

/// A record that was not caused by a request.
fn record(
    key: UserKey,
    event_type: EventType,
    sequence: Option<u64>,
    key_id: Option<Uuid>,
    value: Vec<u8>,
) -> Record {
    let envelope = Envelope {
        id: Uuid::now_v7(),
        event_type,
        time: millis(OffsetDateTime::now_utc()),
        user: key.user,
        tenant: key.tenant.clone(),
        sequence,
        key_id,
        request_id: None,
        client_id: None,
        traceparent: None,
    };
    Record { key, headers: envelope.headers(), value }
}
