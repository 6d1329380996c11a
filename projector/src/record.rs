//! A record of the log, read once: what it says, and the bytes for the case that it says nothing.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use events_schema::{
    CredentialRecord, DecodeError, Timestamp, UserKey, UserRecord, decode_credential, decode_user, event_type,
};
use rdkafka::{
    Message as _,
    message::{BorrowedHeaders, BorrowedMessage, Headers as _},
};
use service_kit::{fault, json};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Levels of JSON in a record's value: those of claims, and what an event puts around them.
const MAX_DEPTH: usize = 40;
/// Bytes of a user fact's value: the largest user as it is printed, padded, as base64, and what an event puts around it.
const MAX_USER: usize = 448 * 1024;
/// Bytes of a credential fact's value: as of a line that is imported.
const MAX_CREDENTIAL: usize = 256 * 1024;
/// Bytes of a record's headers.
const MAX_HEADERS: usize = 64 * 1024;

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
    /// The owner, where the key is sound and lies where it belongs.
    pub key: Option<UserKey>,
    /// The reason; it repeats nothing of what stood there.
    pub reason: String,
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
const UNREADABLE: &str = "\0";

impl Raw {
    /// About how much memory it takes.
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
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
        let time = message.timestamp().to_millis().and_then(Timestamp::from_unix_millis);
        Self::of((topic, message.partition()), message.offset(), time, raw(message), partitions)
    }

    /// Reads a record that was kept.
    pub fn of(partition: Partition, offset: i64, time: Option<Timestamp>, raw: Raw, partitions: u32) -> Self {
        let poison = |key, error: DecodeError| Poison { key, reason: error.to_string() };
        let fact = owner(&raw, partition.1, partitions)
            .map_err(|error| poison(None, error))
            .and_then(|key| fact(partition.0, &key, &raw, time).map_err(|error| poison(Some(key), error)));
        Self { partition, offset, time, fact: fact.unwrap_or_else(Fact::Poison), raw }
    }

    /// The same record as one that can't be folded.
    pub fn poisoned(mut self, reason: &str) -> Self {
        let key = self.fact.owner().cloned();
        self.fact = Fact::Poison(Poison { key, reason: reason.to_owned() });
        self
    }
}

impl Record {
    /// Whether it is set aside for that reason.
    pub fn is_poisoned(&self, reason: &str) -> bool {
        matches!(&self.fact, Fact::Poison(poison) if poison.reason == reason)
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

fn raw(message: &BorrowedMessage<'_>) -> Raw {
    Raw {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map(headers).unwrap_or_default(),
    }
}

fn headers(headers: &BorrowedHeaders) -> Headers {
    let read = |n| {
        // The client panics at a name that is not UTF-8, and anyone may write one.
        let header = catch_unwind(AssertUnwindSafe(|| headers.get(n)));
        header.map_or_else(
            |_| (UNREADABLE.to_owned(), Vec::new()),
            |header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()),
        )
    };
    (0..headers.count()).map(read).collect()
}

fn owner(raw: &Raw, partition: i32, partitions: u32) -> Result<UserKey, DecodeError> {
    let key = raw.key.as_deref().ok_or(DecodeError::Key("there is none"))?;
    let key = std::str::from_utf8(key).map_err(|_| DecodeError::Key("it is not UTF-8"))?;
    let key: UserKey = key.parse().map_err(DecodeError::Key)?;
    let at_home = i64::from(key.partition(partitions)) == i64::from(partition);
    if at_home { Ok(key) } else { Err(DecodeError::Partition) }
}

fn fact(topic: Topic, key: &UserKey, raw: &Raw, time: Option<Timestamp>) -> Result<Fact, DecodeError> {
    let headers: Vec<_> = raw.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    // First: what nobody here knows may be of any form and size.
    if event_type(&headers)?.is_none() {
        return Ok(Fact::Unknown);
    }
    let poison = |reason: &str| Err(DecodeError::Data(reason.to_owned()));
    if headers.iter().any(|(name, _)| *name == UNREADABLE) {
        return poison("a header's name is not UTF-8");
    }
    if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_HEADERS {
        return poison("its headers are larger than 64 KiB");
    }
    let value = raw.value.as_deref().unwrap_or_default();
    match topic {
        Topic::Users if value.len() > MAX_USER => return poison("larger than a user can be"),
        Topic::Credentials if value.len() > MAX_CREDENTIAL => return poison("larger than 256 KiB"),
        Topic::Users | Topic::Credentials => {}
    }
    // The place is left out: a claim's key is personal as well.
    let refused = |refusal: json::Refusal| DecodeError::Data(refusal.msg.to_owned());
    let value = json::parse(value, MAX_DEPTH).map_err(refused)?;
    let fact = match topic {
        Topic::Users => {
            let claims = value.pointer("/personal/claims");
            let limits = claims.map_or(Ok(()), |claims| json::check_claims_limits(claims, "claims"));
            if headers.contains(&("ce_requestid", b"x-poison")) && fault::is_on("record.poison") {
                return Err(DecodeError::Data("this build can't read it".to_owned()));
            }
            let Some(record) = decode_user(key, &headers, value)? else { return Ok(Fact::Unknown) };
            limits.map_err(refused)?;
            Some(Fact::User(Box::new(record)))
        }
        Topic::Credentials => {
            let time = time.ok_or(DecodeError::Header("time of the record"))?;
            decode_credential(key, &headers, value, time)?.map(|record| Fact::Credential(Box::new(record)))
        }
    };
    Ok(fact.unwrap_or(Fact::Unknown))
}
