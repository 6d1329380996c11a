//! A record of the log: where it is, what it says, and its bytes.

mod decode;

use crate::{
    raw::{self, Raw},
    record_owner::named_users,
};
use events_schema::{CredentialRecord, Partition, Reason, ReasonCode, Timestamp, Topic, UserKey, UserRecord};
use rdkafka::{Message as _, message::BorrowedMessage};

/// A record and its place in the log.
#[derive(Clone)]
pub struct Record {
    /// The partition.
    pub partition: Partition,
    /// The offset.
    pub offset: i64,
    /// Kafka's timestamp.
    pub time: Option<Timestamp>,
    /// What the record says.
    pub fact: Fact,
    /// The bytes.
    pub raw: Raw,
}

/// What a record says.
#[derive(Clone)]
pub enum Fact {
    /// Something about a user.
    User(Box<UserRecord>),
    /// Something about a credential.
    Credential(Box<CredentialRecord>),
    /// A type that this build does not know. It is skipped and counted.
    Unknown,
    /// An operator has discarded the record, so it has no effect.
    Discarded,
    /// The record can't be folded.
    Poison(Poison),
}

/// Why a record can't be folded, and who owns it if that is known.
#[derive(Clone)]
pub struct Poison {
    /// The owner: the user whom the record names, whether or not it can be folded.
    pub key: Option<UserKey>,
    /// Whether the record is in its owner's partition under the plain key, so that it has a place
    /// among the owner's facts.
    pub is_at_home: bool,
    /// The reason.
    pub reason: Reason,
}

impl Record {
    /// Reads a message. `partitions` is the number of partitions of its topic.
    pub fn read(topic: Topic, message: &BorrowedMessage<'_>, partitions: u32) -> Self {
        // A producer may set any time, but PostgreSQL has no years before its range.
        let time = message.timestamp().to_millis().and_then(Timestamp::from_unix_millis);
        let time = time.filter(|time| time.get().year() >= 0);
        let raw = raw::from_message(message);
        Self::of((topic, message.partition()), message.offset(), time, raw, partitions)
    }

    /// Reads the stored bytes of a record.
    pub fn of(partition: Partition, offset: i64, time: Option<Timestamp>, raw: Raw, partitions: u32) -> Self {
        let fact = match decode::owner(&raw, partition.1, partitions) {
            Ok(key) => decode::fact(partition.0, &key, &raw, time).map_err(|reason| Poison {
                key: Some(key),
                is_at_home: true,
                reason,
            }),
            Err(reason) => Err(Poison { key: named_users(&raw).next(), is_at_home: false, reason }),
        };
        Self { partition, offset, time, fact: fact.unwrap_or_else(Fact::Poison), raw }
    }

    /// The same record as one that can't be folded for this reason.
    pub fn poisoned(mut self, reason: ReasonCode) -> Self {
        let key = self.fact.owner().cloned();
        let is_at_home = match &self.fact {
            Fact::Poison(poison) => poison.is_at_home,
            Fact::User(_) | Fact::Credential(_) | Fact::Unknown | Fact::Discarded => key.is_some(),
        };
        self.fact = Fact::Poison(Poison { key, is_at_home, reason: reason.alone() });
        self
    }

    /// Whether the record can't be folded for this reason.
    pub fn is_poisoned(&self, reason: ReasonCode) -> bool {
        matches!(&self.fact, Fact::Poison(poison) if poison.reason.code == reason)
    }
}

impl Fact {
    /// The user whom the fact is about.
    pub fn owner(&self) -> Option<&UserKey> {
        match self {
            Self::User(fact) => Some(&fact.key),
            Self::Credential(fact) => Some(&fact.key),
            Self::Poison(poison) => poison.key.as_ref(),
            Self::Unknown | Self::Discarded => None,
        }
    }
}
