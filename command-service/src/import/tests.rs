use super::{records::sealed, *};
use crate::log::Record;
use events_schema::{
    EventType,
    personal::{Binding, EncodedPersonal},
};
use std::sync::LazyLock;

/// The secret that ids are derived with.
static SECRET: LazyLock<DataKey> = LazyLock::new(|| DataKey::random().unwrap());

const USER: &str = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

fn read(kind: Kind, text: &str) -> (Vec<ImportedEvent>, Vec<BadLine>, Progress) {
    let (mut progress, mut bad, tenant) = (Progress::default(), Vec::new(), "acme".parse().unwrap());
    let (mut lines, secret) = (Lines::new(text.as_bytes(), MAX_LINE_BYTES), &SECRET);
    let batch = read_batch(&mut lines, &tenant, kind, secret, &mut progress, &mut bad).unwrap();
    assert!(batch.is_end);
    (batch.events, bad, progress)
}

#[track_caller]
fn refused(kind: Kind, line: &str, reason: &str) {
    let (facts, bad, _) = read(kind, line);
    assert!(facts.is_empty() && bad.len() == 1, "{line}");
    assert!(bad[0].reason.starts_with(reason), "{line}: {}", bad[0].reason);
}

#[track_caller]
fn taken(kind: Kind, line: &str) -> ImportedEvent {
    let (mut facts, bad, _) = read(kind, line);
    assert_eq!(bad, [], "{line}");
    facts.remove(0)
}

fn header<'r>(record: &'r Record, name: &str) -> Option<&'r str> {
    record.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_users_line_is_a_created_event() {
    let line = format!(
        r#"{{"id":"{}","createdAt":"2020-08-25T08:46:09.51099+02:00","claims":{{"a":1}}}}"#,
        USER.to_uppercase()
    );
    let fact = taken(Kind::Users, &line);
    let key = DataKey::random().unwrap();
    let record = sealed(fact.key, fact.content, Some(&key)).unwrap();
    assert_eq!(record.key.to_string(), format!("acme/{USER}"));
    let value: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
    assert_eq!(value["createdAt"], "2020-08-25T06:46:09.510Z");
    assert_eq!(opened(&record, &key, &value), r#"{"claims":{"a":1}}"#);
    let said = ["ce_type", "ce_sequence", "ce_keyid", "ce_requestid"].map(|name| header(&record, name));
    assert_eq!(said, [Some("user.created.v1"), Some("1"), Some(key.id().to_string().as_str()), None]);
}

fn opened(record: &Record, key: &DataKey, value: &serde_json::Value) -> String {
    let EncodedPersonal::Sealed(part) = serde_json::from_value(value["personal"].clone()).unwrap() else {
        panic!("it is sealed")
    };
    let binding = Binding { key: &record.key, ce_type: EventType::UserCreated.as_str(), sequence: 1 };
    let text = key.open(binding.associated_data().as_bytes(), &part.nonce.0, &part.ciphertext.0).unwrap();
    String::from_utf8(text.to_vec()).unwrap().trim_end().to_owned()
}

#[test]
fn without_a_key_nothing_is_written() {
    let fact = taken(Kind::Users, "{}");
    assert!(sealed(fact.key, fact.content, None).is_err());
}

#[test]
fn equal_lines_are_one_user() {
    let id = |line: &str| taken(Kind::Users, line).identity;
    assert_eq!(id(r#"{"claims":{"a":1,"b":2}}"#), id(r#" { "claims": {"b":2, "a":1} } "#));
    assert_ne!(id(r#"{"claims":{"a":1}}"#), id(r#"{"claims":{"a":2}}"#));
}

#[test]
fn a_bad_line_stops_nothing_and_is_not_repeated() {
    let (facts, bad, progress) =
        read(Kind::Users, "{}\n\n{\"claims\":{\"a\":\"s3cret\"},\"x\":1}\n \nnope\n{\"claims\":{}}");
    assert_eq!(facts.iter().map(|fact| fact.line).collect::<Vec<_>>(), [1, 6]);
    assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [3, 5]);
    assert!(bad.iter().all(|bad| !bad.reason.contains("s3cret")));
    assert_eq!((progress.read, progress.bad), (4, 2));
}

#[test]
fn a_users_line_is_held_to_the_limits_of_a_body() {
    refused(Kind::Users, r#"{"claims":null}"#, "claims: ");
    refused(Kind::Users, r#"{"id":"x"}"#, "id: ");
    refused(Kind::Users, r#"{"claims":{"a":1e999}}"#, "claims.a: ");
    refused(Kind::Users, r#"{"authenticationProvider":{}}"#, "authenticationProvider.subjectId: ");
    for time in ["", "today", "2020-08-25", "9999-12-31T23:59:59-01:00"] {
        refused(Kind::Users, &format!(r#"{{"createdAt":"{time}"}}"#), "createdAt: ");
    }
    refused(Kind::Users, &format!("{{{}}}", " ".repeat(MAX_LINE_BYTES - 1)), "Longer than");
    taken(Kind::Users, &format!("{{{}}}", " ".repeat(MAX_LINE_BYTES - 2)));
}

#[test]
fn a_credentials_line_is_an_item_of_the_list() {
    let id = "41458e5a-9092-40b7-9a26-d4eb43c5792f";
    let line =
        |more: &str| format!(r#"{{"userId":"{USER}","id":"{id}","type":"mDL","profile":"mobile"{more}}}"#);
    let fact =
        taken(Kind::Credentials, &line(r#","createdAt":"2020-08-25T06:46:09Z","namespaces":{"a":["b"]}"#));
    assert_eq!(fact.identity, (USER.parse().unwrap(), id.parse().unwrap()));
    let record = sealed(fact.key, fact.content, None).unwrap();
    assert_eq!(
        (header(&record, "ce_type"), header(&record, "ce_sequence")),
        (Some("credential.issued.v1"), None)
    );
    let value = String::from_utf8(record.value).unwrap();
    assert!(
        value.contains(r#""createdAt":"2020-08-25T06:46:09.000Z""#) && !value.contains("userId"),
        "{value}"
    );

    refused(Kind::Credentials, &format!(r#"{{"id":"{id}","type":"mDL","profile":"mobile"}}"#), "userId: ");
    refused(Kind::Credentials, &line(r#","x":1"#), "x: ");
    for (bad, place) in [
        (r#","status":"lost""#, "status: Must be valid, suspended or revoked"),
        (r#","status":null"#, "status: Must be left out"),
        (r#","namespaces":1"#, "namespaces: Must be an object or an array"),
        (r#","devicePublicKey":[]"#, "devicePublicKey: Must be a JWK object or a string"),
        (r#","validFrom":"now""#, "validFrom: Must be an RFC 3339 time"),
        (r#","offerId":7"#, "offerId: Must be a string"),
    ] {
        refused(Kind::Credentials, &line(bad), place);
    }
    refused(Kind::Credentials, &line("").replace("\"mobile\"", "\"other\""), "profile: Must be mobile");
    refused(Kind::Credentials, &line("").replace("mDL\"", "mDL\",\"type\":\"x\""), "type: ");
    refused(Kind::Credentials, &line("").replace("\"mobile\"", "1"), "profile: ");
}

#[test]
fn what_went_in_a_moment_ago_is_not_sent_again() {
    let mut recent = Recent::default();
    let identity = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert!(recent.is_new(identity) && !recent.is_new(identity));
}
