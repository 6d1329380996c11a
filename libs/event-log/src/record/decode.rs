//! Decodes a record: its owner from the key, its fact from headers and value.

use super::Fact;
use crate::raw::{MAX_HEADER_COUNT, Raw, UNREADABLE};
use events_schema::{
    Reason, ReasonCode, Timestamp, Topic, UserKey, decode_credential, decode_user, event_type, known_member,
};
use service_kit::{failpoint, json};

/// The deepest nesting of JSON in a record's value: that of claims, and what an event adds around
/// them.
const MAX_DEPTH: usize = 40;
/// The most bytes in the value of a user fact: the largest user as JSON, padded, in base64, and
/// what an event adds around it.
const MAX_USER: usize = 448 * 1024;
/// The most bytes in the value of a credential fact: the same as in an imported line.
const MAX_CREDENTIAL: usize = 256 * 1024;
/// The most bytes in a record's headers.
const MAX_HEADERS: usize = 64 * 1024;

/// The owner of a record, which follows from its key if the record is in the owner's partition.
pub(crate) fn owner(raw: &Raw, partition: i32, partitions: u32) -> Result<UserKey, Reason> {
    let bad = |wrong| ReasonCode::BadRecordKey.with(wrong);
    let text = raw.key.as_deref().ok_or(ReasonCode::NoRecordKey)?;
    let text = std::str::from_utf8(text).map_err(|_| bad("it is not UTF-8"))?;
    let key: UserKey = text.parse().map_err(|wrong| match UserKey::named_by(text) {
        Some(_) => ReasonCode::RecordKeySpelling.alone(),
        None => bad(wrong),
    })?;
    let home = key.partition(partitions);
    let is_there = i64::from(home) == i64::from(partition);
    if is_there { Ok(key) } else { Err(ReasonCode::WrongPartition.with(home.to_string())) }
}

pub(crate) fn fact(topic: Topic, key: &UserKey, raw: &Raw, time: Option<Timestamp>) -> Result<Fact, Reason> {
    let headers: Vec<_> = raw.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    // First: a record of an unknown type may have any form and size.
    if event_type(&headers)?.is_none() {
        return Ok(Fact::Unknown);
    }
    check_headers(&headers)?;
    let value = json(topic, raw.value.as_deref().unwrap_or_default())?;
    let fact = match topic {
        Topic::Users => {
            let claims = value.pointer("/personal/claims");
            let limits = claims.map_or(Ok(()), |claims| json::check_claims_limits(claims, "personal.claims"));
            if headers.contains(&("ce_requestid", b"x-poison")) && failpoint::is_on("record.poison") {
                return Err(ReasonCode::BadData.with("this build can't read it"));
            }
            let Some(record) = decode_user(key, &headers, value)? else { return Ok(Fact::Unknown) };
            limits.map_err(|refusals| refused(ReasonCode::BadData, &refusals.first()))?;
            Some(Fact::User(Box::new(record)))
        }
        Topic::Credentials => {
            decode_credential(key, &headers, value, time)?.map(|record| Fact::Credential(Box::new(record)))
        }
    };
    Ok(fact.unwrap_or(Fact::Unknown))
}

fn check_headers(headers: &[(&str, &[u8])]) -> Result<(), Reason> {
    if headers.len() > MAX_HEADER_COUNT {
        return Err(ReasonCode::HeadersTooLarge.with("more than 1000"));
    }
    if headers.iter().any(|(name, _)| *name == UNREADABLE) {
        return Err(ReasonCode::BadHeaderName.alone());
    }
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_HEADERS { Err(ReasonCode::HeadersTooLarge.with("larger than 64 KiB")) } else { Ok(()) }
}

fn json(topic: Topic, value: &[u8]) -> Result<serde_json::Value, Reason> {
    let (limit, in_words) = match topic {
        Topic::Users => (MAX_USER, "a user can be"),
        Topic::Credentials => (MAX_CREDENTIAL, "256 KiB"),
    };
    match value.len() {
        0 => Err(ReasonCode::NoValue.alone()),
        length if length > limit => Err(ReasonCode::TooLarge.with(in_words)),
        _ => {
            json::parse(value, MAX_DEPTH).map_err(|refusals| refused(ReasonCode::NotJson, &refusals.first()))
        }
    }
}

/// Why a value was refused. Names only the outermost member, and only if the schema has it: the key
/// of a claim is personal.
fn refused(code: ReasonCode, json::Refusal { path, msg }: &json::Refusal) -> Reason {
    match known_member(path) {
        Some(member) => code.with(format!("{member}: {msg}")),
        None => code.with(*msg),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raw::Headers,
        record::{Poison, Record},
    };

    const KEY: &str = "acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba";
    const PARTITIONS: u32 = 4;

    fn poison(key: &str, partition: i32, headers: Headers) -> Poison {
        let raw = Raw { key: Some(key.into()), value: Some(b"{}".to_vec()), headers };
        match Record::of((Topic::Credentials, partition), 0, None, raw, PARTITIONS).fact {
            Fact::Poison(poison) => poison,
            _ => panic!("it is folded"),
        }
    }

    fn home() -> i32 {
        let key: UserKey = KEY.parse().unwrap();
        i32::try_from(key.partition(PARTITIONS)).unwrap()
    }

    fn header(name: &str, value: &str) -> (String, Vec<u8>) {
        (name.to_owned(), value.into())
    }

    #[test]
    fn whom_it_names_owns_it_wherever_it_lies() {
        let tenant_and_user = KEY.split_once('/').unwrap();
        let loud = format!("acme/{}", tenant_and_user.1.to_uppercase());
        let named = vec![header("ce_tenantid", tenant_and_user.0), header("ce_subject", tenant_and_user.1)];
        let elsewhere = (home() + 1) % 4;
        for (key, partition, headers, reason) in [
            (KEY, elsewhere, vec![], ReasonCode::WrongPartition),
            (&loud, home(), vec![], ReasonCode::RecordKeySpelling),
            ("nobody", home(), named, ReasonCode::BadRecordKey),
        ] {
            let poison = poison(key, partition, headers);
            let owner = poison.key.map(|key| key.to_string());
            assert_eq!((owner.as_deref(), poison.is_at_home, poison.reason.code), (Some(KEY), false, reason));
        }
        let at_home = poison(KEY, home(), vec![]);
        assert_eq!((at_home.is_at_home, at_home.reason), (true, ReasonCode::MissingHeader.with("ce_type")));
        assert_eq!(poison("nobody", home(), vec![]).key, None);
    }

    #[test]
    fn headers_have_limits_of_number_and_size() {
        let typed = |more: Vec<_>| [vec![header("ce_type", "credential.issued.v1")], more].concat();
        let many = |n: usize| typed(vec![header("", ""); n]);
        assert_eq!(poison(KEY, home(), many(999)).reason.code, ReasonCode::BadData);
        assert_eq!(poison(KEY, home(), many(1_000)).reason.code, ReasonCode::HeadersTooLarge);
        let large = typed(vec![header("x", &"x".repeat(MAX_HEADERS))]);
        assert_eq!(poison(KEY, home(), large).reason.code, ReasonCode::HeadersTooLarge);
        let size = |n| Raw { headers: many(n), ..Raw::default() }.size();
        assert!(size(1_000) > 1_000 * events_schema::raw::HEADER_SIZE, "empty headers take memory, too");
    }

    #[test]
    fn a_place_is_named_by_our_own_members_alone() {
        let claims = json::Refusal { path: "personal.claims.secret".to_owned(), msg: "Repeated key" };
        assert_eq!(refused(ReasonCode::NotJson, &claims), ReasonCode::NotJson.with("personal: Repeated key"));
        let foreign = json::Refusal { path: "secret".to_owned(), msg: "Repeated key" };
        assert_eq!(refused(ReasonCode::NotJson, &foreign), ReasonCode::NotJson.with("Repeated key"));
    }
}
