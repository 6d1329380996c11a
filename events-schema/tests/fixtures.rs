//! Records as they were once written, and how they must be decoded forever. Fixtures are only ever
//! added.
//!
//! `fixtures/<type>/<case>.json`: `key`, `headers`, `value` and `expected`: what the record is read
//! as, or `{"error": …}`, or `"skipped"` for a type that this build need not know.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use events_schema::{
    CredentialRecord, EventType, Reason, ReasonCode, Timestamp, UserKey, UserRecord, decode_credential,
    decode_user,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

/// The record's own timestamp, for events without `ce_time`.
const RECORD_TIME: &str = "2026-01-01T00:00:00.000Z";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    key: String,
    headers: Map<String, Value>,
    value: Value,
    expected: Value,
}

fn headers(fixture: &Fixture) -> Vec<(&str, &[u8])> {
    fixture.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
}

fn text(header: &Value) -> &[u8] {
    header.as_str().expect("headers are text").as_bytes()
}

fn read(fixture: &Fixture, is_user: bool) -> Value {
    let key = match fixture.key.parse::<UserKey>() {
        Ok(key) => key,
        Err(error) => return failed(&ReasonCode::BadRecordKey.with(error)),
    };
    let headers = headers(fixture);
    let value = fixture.value.clone();
    if is_user {
        shown(decode_user(&key, &headers, value), user)
    } else {
        let time = RECORD_TIME.parse::<Timestamp>().expect("a time");
        shown(decode_credential(&key, &headers, value, Some(time)), credential)
    }
}

fn shown<T>(record: Result<Option<T>, Reason>, show: fn(T) -> Value) -> Value {
    match record {
        Ok(Some(record)) => show(record),
        Ok(None) => json!("skipped"),
        Err(error) => failed(&error),
    }
}

/// Only the code: the text may change.
fn failed(reason: &Reason) -> Value {
    json!({ "error": reason.code.as_str() })
}

fn data(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("data is JSON")
}

fn user(record: UserRecord) -> Value {
    json!({
        "id": record.id, "key": record.key.to_string(), "sequence": record.sequence, "time": record.time,
        "requestId": record.request_id, "clientId": record.client_id,
        "type": record.event.event_type().as_str(), "data": data(&record.event.data()),
    })
}

fn credential(record: CredentialRecord) -> Value {
    json!({
        "key": record.key.to_string(), "time": record.time,
        "type": record.event.event_type().as_str(), "data": data(&record.event.data()),
    })
}

fn check(path: &Path, is_user: bool) {
    let place = path.display();
    let text = fs::read_to_string(path).expect("a fixture can be read");
    let fixture: Fixture = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(read(&fixture, is_user), fixture.expected, "{place}");
}

#[test]
fn every_fixture_is_read_as_it_always_was() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for event_type in EventType::ALL {
        let folder = fixtures.join(event_type.as_str());
        let cases: Vec<_> = fs::read_dir(&folder).expect("each type has fixtures").collect();
        assert!(cases.len() > 1, "{}: at least one that is read and one that is not", folder.display());
        for case in cases {
            check(&case.expect("a fixture").path(), event_type.as_str().starts_with("user."));
        }
    }
}
