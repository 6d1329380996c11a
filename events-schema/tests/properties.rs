//! Any event that is written is read back unchanged. Anything else gives a result and no panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use events_schema::{
    CredentialRecord, Envelope, EventType, Headers, TenantId, Timestamp, UserKey, UserRecord,
    credential::{CredentialEvent, CredentialIssued, CredentialStatusChanged, Status},
    decode_credential, decode_user,
    personal::{Base64, Claims, EncodedPersonal, Sealed},
    user::{UserCreated, UserDeleted, UserEvent, UserUpdated},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

fn number() -> impl Strategy<Value = Value> {
    let double = any::<f64>().prop_filter("JSON has finite numbers", |n| n.is_finite());
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        double.prop_map(Value::from)
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        prop_oneof![list, object(inner).prop_map(Value::Object)]
    })
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Claims> {
    prop::collection::btree_map(any::<String>(), inner, 0..4)
        .prop_map(|members| members.into_iter().collect())
}

fn personal() -> impl Strategy<Value = EncodedPersonal> {
    prop_oneof![sealed(), plain()]
}

fn sealed() -> impl Strategy<Value = EncodedPersonal> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..80).prop_map(Base64);
    (bytes(), bytes()).prop_map(|(nonce, ciphertext)| EncodedPersonal::Sealed(Sealed { nonce, ciphertext }))
}

fn plain() -> impl Strategy<Value = EncodedPersonal> {
    let link =
        prop::option::of((prop::option::of(uuid()), prop::option::of(any::<String>()), any::<String>()));
    (object(json_value()), link).prop_map(|(claims, link)| {
        let mut personal = json!({ "claims": claims });
        if let Some((provider, url, subject)) = link {
            personal["authenticationProvider"] =
                json!({ "providerId": provider, "url": url, "subjectId": subject });
        }
        EncodedPersonal::Plain(serde_json::from_value(personal).unwrap())
    })
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn time() -> impl Strategy<Value = Timestamp> {
    // The years 0 to 9999, the range of RFC 3339.
    (-62_167_219_200_000_i64..253_402_300_800_000).prop_map(|at| Timestamp::from_unix_millis(at).unwrap())
}

fn key() -> impl Strategy<Value = UserKey> {
    let tenant = "[A-Za-z0-9._-]{1,64}".prop_map(|text| text.parse::<TenantId>().unwrap());
    (tenant, uuid()).prop_map(|(tenant, user)| UserKey { tenant, user })
}

fn user_event() -> impl Strategy<Value = UserEvent> {
    let created = (time(), personal());
    prop_oneof![
        created.prop_map(|(created_at, personal)| UserEvent::Created(UserCreated { created_at, personal })),
        personal().prop_map(|personal| UserEvent::Updated(UserUpdated { personal })),
        Just(UserEvent::Deleted(UserDeleted {})),
    ]
}

fn user_record() -> impl Strategy<Value = UserRecord> {
    let id = || prop::option::of("[A-Za-z0-9._-]{1,128}");
    (uuid(), key(), 1..=i64::MAX as u64, time(), id(), id(), (user_event(), uuid())).prop_map(
        |(id, key, sequence, time, request_id, client_id, (event, key_id))| UserRecord {
            id,
            ce_type: event.event_type().as_str(),
            key,
            sequence,
            time,
            key_id: event.is_sealed().then_some(key_id),
            request_id,
            traceparent: None,
            client_id,
            event,
        },
    )
}

fn credential_event() -> impl Strategy<Value = CredentialEvent> {
    let status = prop::sample::select(vec![Status::Valid, Status::Suspended, Status::Revoked]);
    let profile = prop::sample::select(vec!["mobile", "compact", "compact-semantic", "web-semantic"]);
    let text = || prop::option::of(any::<String>());
    let issued = (
        uuid(),
        any::<String>(),
        profile,
        text(),
        prop::option::of(time()),
        prop::option::of(object(json_value())),
    );
    let issued = issued.prop_map(|(id, credential_type, profile, mso_hash, at, namespaces)| {
        let data = json!({
            "id": id, "type": credential_type, "profile": profile, "msoHash": mso_hash, "issuedDate": at, "validUntil": at,
            "namespaces": namespaces, "createdAt": at, "status": "suspended",
        });
        let is_given = |(_, value): &(String, Value)| !value.is_null();
        let data = data.as_object().unwrap().clone().into_iter().filter(is_given).collect();
        CredentialEvent::Issued(Box::new(CredentialIssued::from_json(Value::Object(data)).unwrap()))
    });
    let changed = (uuid(), status)
        .prop_map(|(id, status)| CredentialEvent::StatusChanged(CredentialStatusChanged { id, status }));
    prop_oneof![issued, changed]
}

fn envelope(record: &UserRecord) -> Envelope {
    Envelope {
        id: record.id,
        event_type: record.event.event_type(),
        time: record.time,
        user: record.key.user,
        tenant: record.key.tenant.clone(),
        sequence: Some(record.sequence),
        key_id: record.key_id,
        request_id: record.request_id.clone(),
        client_id: record.client_id.clone(),
        traceparent: None,
    }
}

fn bytes(headers: &Headers) -> Vec<(&str, &[u8])> {
    headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

/// Headers with known names and any values.
fn any_headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let names = vec![
        "ce_type",
        "ce_id",
        "ce_time",
        "ce_sequence",
        "ce_tenantid",
        "ce_subject",
        "ce_requestid",
        "CE_TYPE",
        "x",
    ];
    let types = EventType::ALL.map(|known| known.as_str().as_bytes().to_vec()).to_vec();
    let value = prop_oneof![
        prop::sample::select(types),
        prop::collection::vec(any::<u8>(), 0..40),
        any::<String>().prop_map(String::into_bytes),
        uuid().prop_map(|id| id.to_string().into_bytes()),
        time().prop_map(|time| time.to_string().into_bytes()),
        any::<u64>().prop_map(|n| n.to_string().into_bytes()),
    ];
    prop::collection::vec((prop::sample::select(names).prop_map(str::to_owned), value), 0..8)
}

/// JSON of roughly the right shape, so that later checks are reached, too.
fn any_data() -> impl Strategy<Value = Value> {
    let near = vec![
        "id",
        "type",
        "profile",
        "status",
        "personal",
        "claims",
        "createdAt",
        "issuedDate",
        "namespaces",
    ];
    let member = (prop::sample::select(near).prop_map(str::to_owned), json_value());
    let object =
        prop::collection::vec(member, 0..5).prop_map(|members| Value::Object(members.into_iter().collect()));
    prop_oneof![json_value(), object]
}

proptest! {
    #[test]
    fn a_user_fact_is_read_back(record in user_record()) {
        let headers = envelope(&record).headers();
        let value = serde_json::from_slice(&record.event.data()).unwrap();
        prop_assert_eq!(decode_user(&record.key, &bytes(&headers), value), Ok(Some(record)));
    }

    #[test]
    fn a_credential_fact_is_read_back(id in uuid(), key in key(), time in time(), event in credential_event()) {
        let (tenant, user, event_type) = (key.tenant.clone(), key.user, event.event_type());
        let envelope = Envelope {
            id, event_type, time, user, tenant, sequence: None, key_id: None, request_id: None, client_id: None, traceparent: None,
        };
        let value = serde_json::from_slice(&event.data()).unwrap();
        let other_time = Timestamp::from_unix_millis(0).unwrap();
        let read = decode_credential(&key, &bytes(&envelope.headers()), value, Some(other_time));
        prop_assert_eq!(read, Ok(Some(CredentialRecord { key, time, event })));
    }

    #[test]
    fn garbage_is_an_answer(key in key(), headers in any_headers(), value in any_data(), time in time()) {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let _ = decode_user(&key, &headers, value.clone());
        let _ = decode_credential(&key, &headers, value, Some(time));
    }

    #[test]
    fn a_key_is_read_back_and_garbage_is_an_answer(key in key(), garbage in any::<String>(), count in 1..10_000_u32) {
        prop_assert_eq!(key.to_string().parse::<UserKey>(), Ok(key.clone()));
        prop_assert!(key.partition(count) < count);
        if let Ok(read) = garbage.parse::<UserKey>() {
            prop_assert_eq!(read.to_string(), garbage);
        }
    }

    #[test]
    fn errors_never_repeat_what_stood_there(key in key(), marker in "[a-z]{24}") {
        let tenant = key.tenant.to_string();
        let headers: [(&str, &[u8]); 3] =
            [("ce_type", b"user.updated.v1"), ("ce_tenantid", tenant.as_bytes()), ("ce_time", marker.as_bytes())];
        let value = json!({ "personal": { "claims": marker, &marker: marker } });
        let error = decode_user(&key, &headers, value).unwrap_err();
        let said = format!("{error} {error:?}");
        prop_assert!(!said.contains(&marker));
    }
}
