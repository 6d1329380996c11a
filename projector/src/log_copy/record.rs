//! A record that is copied, with what decides its order.

use event_log::raw::{self, Raw};
use events_schema::{Topic, UserKey};
use rdkafka::{
    Message as _,
    message::{BorrowedMessage, OwnedMessage},
};
use sha2::{Digest as _, Sha256};

/// A record that is copied.
pub(super) struct SourceRecord {
    /// The key, if it is valid.
    pub(super) key: Option<UserKey>,
    /// The partition.
    pub(super) partition: i32,
    /// The offset.
    pub(super) offset: i64,
    /// The rank among the records of both homes of the key.
    pub(super) rank: Option<i64>,
    /// The fingerprint of everything that a copy must keep.
    pub(super) fingerprint: Fingerprint,
    /// The rough size.
    pub(super) bytes: usize,
    /// The record itself.
    pub(super) message: OwnedMessage,
}

/// The number of records, and a sum over them that does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// The number of records.
    pub(super) records: u64,
    sum: u128,
}

impl Fingerprint {
    /// Adds other records.
    pub(super) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    fn of(raw: &Raw, time: Option<i64>) -> Self {
        let mut digest = Sha256::new();
        let mut bytes = |bytes: &[u8]| {
            digest.update(bytes.len().to_be_bytes());
            digest.update(bytes);
        };
        bytes(&time.unwrap_or(-1).to_be_bytes());
        bytes(raw.key.as_deref().unwrap_or_default());
        bytes(raw.value.as_deref().unwrap_or_default());
        for (name, value) in &raw.headers {
            bytes(name.as_bytes());
            bytes(value);
        }
        let sum = digest.finalize().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        Self { records: 1, sum }
    }
}

/// The key of a record, if it is valid.
pub(super) fn key(message: &BorrowedMessage<'_>) -> Option<UserKey> {
    std::str::from_utf8(message.key()?).ok()?.parse().ok()
}

/// The fingerprint of a record.
pub(super) fn fingerprint(message: &BorrowedMessage<'_>) -> Fingerprint {
    Fingerprint::of(&raw::from_message(message), message.timestamp().to_millis())
}

impl SourceRecord {
    /// Reads a record. The rank of a user's event is its sequence. Records of credentials have
    /// none, so their rank is Kafka's time of the record.
    pub(super) fn read(topic: Topic, message: &BorrowedMessage<'_>) -> Self {
        let (raw, time) = (raw::from_message(message), message.timestamp().to_millis());
        let rank = match topic {
            Topic::Users => sequence(&raw),
            Topic::Credentials => time,
        };
        Self {
            key: key(message),
            partition: message.partition(),
            offset: message.offset(),
            rank,
            fingerprint: Fingerprint::of(&raw, time),
            bytes: raw.size(),
            message: message.detach(),
        }
    }
}

fn sequence(raw: &Raw) -> Option<i64> {
    let (_, value) = raw.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("ce_sequence"))?;
    std::str::from_utf8(value).ok()?.parse().ok()
}
