//! A record of the log, read once: what it says, and the bytes for the case that it says nothing.

use events_schema::{
    CredentialRecord, DecodeError, Timestamp, UserKey, UserRecord, decode_credential, decode_user,
};
use rdkafka::{
    Message as _,
    message::{BorrowedMessage, Headers as _},
};
use std::fmt;

/// Levels of JSON in a record's value: those of claims, and what an event puts around them.
const MAX_DEPTH: usize = 40;

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
pub enum Fact {
    /// Something about a user.
    User(Box<UserRecord>),
    /// Something about a credential.
    Credential(Box<CredentialRecord>),
    /// A type that this build does not know: skipped and counted.
    Unknown,
    /// Nothing that can be folded.
    Poison(Poison),
}

/// Why a record can't be folded, and whose it is where that is known.
pub struct Poison {
    /// The owner, where the key is sound and lies where it belongs.
    pub key: Option<UserKey>,
    /// The reason; it repeats nothing of what stood there.
    pub reason: String,
}

/// The bytes of a record, for the dead letters.
#[derive(Default)]
pub struct Raw {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Names and values in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Raw {
    /// About how much memory it takes.
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        length(&self.key) + length(&self.value)
    }

    /// Headers as a JSON array of name and value, so that repeated ones survive.
    pub fn headers_json(&self) -> serde_json::Value {
        let pair = |(name, value): &(String, Vec<u8>)| {
            // Postgres takes no U+0000 in a text.
            serde_json::json!([name.replace('\0', ""), String::from_utf8_lossy(value).replace('\0', "")])
        };
        self.headers.iter().map(pair).collect()
    }
}

impl Record {
    /// Reads a message; `partitions` is the number of partitions of its topic.
    pub fn read(topic: Topic, message: &BorrowedMessage<'_>, partitions: u32) -> Self {
        let raw = raw(message);
        let time = message.timestamp().to_millis().and_then(Timestamp::from_unix_millis);
        let fact = owner(&raw, message.partition(), partitions)
            .map_err(|error| Poison { key: None, reason: error.to_string() })
            .and_then(|key| {
                fact(topic, &key, &raw, time)
                    .map_err(|error| Poison { key: Some(key), reason: error.to_string() })
            });
        Self {
            partition: (topic, message.partition()),
            offset: message.offset(),
            time,
            fact: fact.unwrap_or_else(Fact::Poison),
            raw,
        }
    }
}

fn raw(message: &BorrowedMessage<'_>) -> Raw {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
    });
    Raw {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
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
    // The place is left out: a claim's key is personal as well.
    let value = service_kit::json::parse(raw.value.as_deref().unwrap_or_default(), MAX_DEPTH)
        .map_err(|refusal| DecodeError::Data(refusal.msg.to_owned()))?;
    let fact = match topic {
        Topic::Users => decode_user(key, &headers, value)?.map(|record| Fact::User(Box::new(record))),
        Topic::Credentials => {
            let time = time.ok_or(DecodeError::Header("time of the record"))?;
            decode_credential(key, &headers, value, time)?.map(|record| Fact::Credential(Box::new(record)))
        }
    };
    Ok(fact.unwrap_or(Fact::Unknown))
}
