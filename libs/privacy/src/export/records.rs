//! Records of the log, as an export shows them.

use super::report::{CredentialFact, Event};
use crate::erasure::{Content, Place, content};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use event_log::record::Record;
use key_store::DataKey;
use serde_json::{Value, json};

/// A record of `users.events`, opened with the user's key.
pub(super) fn event(record: &Record, key: Option<&DataKey>) -> Event {
    let text = |name| record.raw.header(name).map(str::to_owned);
    let value = || record.raw.value.as_deref().map(readable);
    let (mut personal, mut sealed, mut whole) = (None, None, None);
    match content(&record.raw) {
        Content::Nothing => {}
        Content::Sealed(part) => {
            personal = key.and_then(|key| part.open(key));
            sealed = personal.is_none().then_some(true);
        }
        Content::Plain => personal = value().map(|value| value["personal"].clone()),
        Content::Unclear => whole = value(),
    }
    Event {
        place: Place { partition: record.partition.1, offset: record.offset },
        event_type: text("ce_type"),
        time: text("ce_time"),
        sequence: record.raw.header("ce_sequence").and_then(|sequence| sequence.parse().ok()),
        request_id: text("ce_requestid"),
        client_id: text("ce_clientid"),
        key_id: text("ce_keyid"),
        accepted: None,
        reason: None,
        personal,
        sealed,
        value: whole,
    }
}

/// A record of `users.credentials`.
pub(super) fn credential_fact(record: &Record) -> CredentialFact {
    let text = |name| record.raw.header(name).map(str::to_owned);
    let (partition, offset) = (record.partition.1, record.offset);
    let time = text("ce_time").or_else(|| record.time.map(|time| time.to_string()));
    let value = record.raw.value.as_deref().map_or(Value::Null, readable);
    CredentialFact { partition, offset, event_type: text("ce_type"), time, value }
}

/// Bytes as JSON if they are JSON, else as text, else as base64.
pub(super) fn readable(bytes: &[u8]) -> Value {
    let text = || std::str::from_utf8(bytes).map(|text| json!({ "text": text }));
    serde_json::from_slice(bytes)
        .or_else(|_| text())
        .unwrap_or_else(|_| json!({ "base64": STANDARD.encode(bytes) }))
}
