//! A record of the log, read once: what it says, and the bytes for the case that it says nothing.

use crate::named::named;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use events_schema::{
    CredentialRecord, Reason, ReasonCode, Timestamp, UserKey, UserRecord, decode_credential, decode_user,
    event_type, known_member,
};
use rdkafka::{Message as _, message::BorrowedMessage};
use service_kit::{
    fault, json,
    kafka::{self, RawHeader},
};
use std::fmt;

/// Levels of JSON in a record's value: those of claims, and what an event puts around them.
const MAX_DEPTH: usize = 40;
/// Bytes of a user fact's value: the largest user as it is printed, padded, as base64, and what an event puts around it.
const MAX_USER: usize = 448 * 1024;
/// Bytes of a credential fact's value: as of a line that is imported.
const MAX_CREDENTIAL: usize = 256 * 1024;
/// Bytes of a record's headers.
const MAX_HEADERS: usize = 64 * 1024;
/// Headers of a record. Each takes two bytes in the log and much more in memory, so not all of more than that are kept.
const MAX_HEADER_COUNT: usize = 1_000;
/// Bytes that a header takes in memory beside its name and value.
const HEADER_SIZE: usize = size_of::<(String, Vec<u8>)>();

/// The two topics that are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `users.events`
    Users,
    /// `users.credentials`
    Credentials,
}

impl Topic {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Users, Self::Credentials];

    /// The name under which the read model knows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Credentials => "credentials",
        }
    }

    /// The topic of that name in the read model.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == name)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A partition of one of the two topics.
pub type Partition = (Topic, i32);

/// A record with its place in the log.
#[derive(Clone)]
pub struct Record {
    /// Where it lies.
    pub partition: Partition,
    /// Where it lies there.
    pub offset: i64,
    /// Kafka's time of it.
    pub time: Option<Timestamp>,
    /// What it says.
    pub fact: Fact,
    /// The record as it came.
    pub raw: Raw,
}

/// What a record says.
#[derive(Clone)]
pub enum Fact {
    /// Something about a user.
    User(Box<UserRecord>),
    /// Something about a credential.
    Credential(Box<CredentialRecord>),
    /// A type that this build does not know: skipped and counted.
    Unknown,
    /// Something that an operator has taken the effect of.
    Discarded,
    /// Nothing that can be folded.
    Poison(Poison),
}

/// Why a record can't be folded, and whose it is where that is known.
#[derive(Clone)]
pub struct Poison {
    /// The owner: whom the record names, whether or not it can be folded.
    pub key: Option<UserKey>,
    /// Whether it lies in its owner's partition under the plain key, so that it has a place among the owner's facts.
    pub is_at_home: bool,
    /// The reason.
    pub reason: Reason,
}

/// The bytes of a record, for the dead letters.
#[derive(Clone, Default)]
pub struct Raw {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Names and values in their order.
    pub headers: Headers,
}

/// Names and values of headers in their order.
pub type Headers = Vec<(String, Vec<u8>)>;

/// What a header is called whose name is not UTF-8. No name is like it: names hold no U+0000.
pub(crate) const UNREADABLE: &str = "\0";

impl Raw {
    /// About how much memory it takes.
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize =
            self.headers.iter().map(|(name, value)| HEADER_SIZE + name.len() + value.len()).sum();
        length(&self.key) + length(&self.value) + headers
    }

    /// Headers as a JSON array of name and value, so that repeated ones survive. For people: what is no text is lost.
    pub fn headers_json(&self) -> serde_json::Value {
        let pair = |(name, value): &(String, Vec<u8>)| {
            // Postgres takes no U+0000 in a text.
            serde_json::json!([name.replace('\0', ""), String::from_utf8_lossy(value).replace('\0', "")])
        };
        self.headers.iter().map(pair).collect()
    }

    /// The same without loss: each value as base64.
    pub fn raw_headers(&self) -> serde_json::Value {
        // The name of a header that has none that can be read is itself nothing that Postgres could keep.
        let pair = |(name, value): &(String, Vec<u8>)| {
            let name = if name == UNREADABLE { None } else { Some(name) };
            serde_json::json!([name, STANDARD.encode(value)])
        };
        self.headers.iter().map(pair).collect()
    }

    /// Takes headers back from what [`Self::raw_headers`] gave, or, where `is_raw` is not so, [`Self::headers_json`].
    pub fn read_headers(kept: serde_json::Value, is_raw: bool) -> Option<Headers> {
        let pairs: Vec<(Option<String>, String)> = serde_json::from_value(kept).ok()?;
        let value = |text: String| if is_raw { STANDARD.decode(text).ok() } else { Some(text.into_bytes()) };
        let header = |(name, text): (Option<String>, _)| {
            Some((name.unwrap_or_else(|| UNREADABLE.to_owned()), value(text)?))
        };
        pairs.into_iter().map(header).collect()
    }
}

impl Record {
    /// Reads a message; `partitions` is the number of partitions of its topic.
    pub fn read(topic: Topic, message: &BorrowedMessage<'_>, partitions: u32) -> Self {
        // Anyone may give a record any time; PostgreSQL does not go back as far as the calendar does.
        let time = message.timestamp().to_millis().and_then(Timestamp::from_unix_millis);
        let time = time.filter(|time| time.get().year() >= 0);
        Self::of((topic, message.partition()), message.offset(), time, raw(message), partitions)
    }

    /// Reads a record that was kept.
    pub fn of(partition: Partition, offset: i64, time: Option<Timestamp>, raw: Raw, partitions: u32) -> Self {
        let fact = match home(&raw, partition.1, partitions) {
            Ok(key) => fact(partition.0, &key, &raw, time).map_err(|reason| Poison {
                key: Some(key),
                is_at_home: true,
                reason,
            }),
            Err(reason) => Err(Poison { key: named(&raw).next(), is_at_home: false, reason }),
        };
        Self { partition, offset, time, fact: fact.unwrap_or_else(Fact::Poison), raw }
    }

    /// The same record as one that can't be folded.
    pub fn poisoned(mut self, reason: ReasonCode) -> Self {
        let key = self.fact.owner().cloned();
        let is_at_home = match &self.fact {
            Fact::Poison(poison) => poison.is_at_home,
            Fact::User(_) | Fact::Credential(_) | Fact::Unknown | Fact::Discarded => key.is_some(),
        };
        self.fact = Fact::Poison(Poison { key, is_at_home, reason: reason.alone() });
        self
    }
}

impl Record {
    /// Whether it is set aside for that reason.
    pub fn is_poisoned(&self, reason: ReasonCode) -> bool {
        matches!(&self.fact, Fact::Poison(poison) if poison.reason.code == reason)
    }
}

impl Fact {
    /// Whose fact it is.
    pub fn owner(&self) -> Option<&UserKey> {
        match self {
            Self::User(fact) => Some(&fact.key),
            Self::Credential(fact) => Some(&fact.key),
            Self::Poison(poison) => poison.key.as_ref(),
            Self::Unknown | Self::Discarded => None,
        }
    }
}

/// The bytes of a record.
pub(crate) fn raw(message: &BorrowedMessage<'_>) -> Raw {
    let text = |name: &[u8]| std::str::from_utf8(name).unwrap_or(UNREADABLE).to_owned();
    let header = |RawHeader { name, value }| (text(name), value.unwrap_or_default().to_vec());
    Raw {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        // One more than may be tells that there were too many.
        headers: kafka::headers(message).take(MAX_HEADER_COUNT + 1).map(header).collect(),
    }
}

/// Whose fact a record in that partition can be.
fn home(raw: &Raw, partition: i32, partitions: u32) -> Result<UserKey, Reason> {
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

fn fact(topic: Topic, key: &UserKey, raw: &Raw, time: Option<Timestamp>) -> Result<Fact, Reason> {
    let headers: Vec<_> = raw.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    // First: what nobody here knows may be of any form and size.
    if event_type(&headers)?.is_none() {
        return Ok(Fact::Unknown);
    }
    check_headers(&headers)?;
    let value = json(topic, raw.value.as_deref().unwrap_or_default())?;
    let fact = match topic {
        Topic::Users => {
            let claims = value.pointer("/personal/claims");
            let limits = claims.map_or(Ok(()), |claims| json::check_claims_limits(claims, "personal.claims"));
            if headers.contains(&("ce_requestid", b"x-poison")) && fault::is_on("record.poison") {
                return Err(ReasonCode::BadData.with("this build can't read it"));
            }
            let Some(record) = decode_user(key, &headers, value)? else { return Ok(Fact::Unknown) };
            limits.map_err(|refusal| refused(ReasonCode::BadData, &refusal))?;
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
        _ => json::parse(value, MAX_DEPTH).map_err(|refusal| refused(ReasonCode::NotJson, &refusal)),
    }
}

/// What is wrong with a text. Of its place only the outermost member is named, and only if it is one of ours: a claim's key is personal.
fn refused(code: ReasonCode, json::Refusal { path, msg }: &json::Refusal) -> Reason {
    match known_member(path) {
        Some(member) => code.with(format!("{member}: {msg}")),
        None => code.with(*msg),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(size(1_000) > 1_000 * HEADER_SIZE, "empty headers take memory, too");
    }

    #[test]
    fn a_place_is_named_by_our_own_members_alone() {
        let claims = json::Refusal { path: "personal.claims.secret".to_owned(), msg: "Repeated key" };
        assert_eq!(refused(ReasonCode::NotJson, &claims), ReasonCode::NotJson.with("personal: Repeated key"));
        let foreign = json::Refusal { path: "secret".to_owned(), msg: "Repeated key" };
        assert_eq!(refused(ReasonCode::NotJson, &foreign), ReasonCode::NotJson.with("Repeated key"));
    }
}
