//! A record on its way into a copy: as it came, with what its order follows from.

use event_log::raw::{self, Raw};
use events_schema::{Topic, UserKey};
use rdkafka::{
    Message as _,
    message::{BorrowedMessage, OwnedMessage},
};
use sha2::{Digest as _, Sha256};

/// A record.
pub(super) struct Item {
    /// Whose it is, where the key is sound.
    pub(super) key: Option<UserKey>,
    /// Where it lies.
    pub(super) partition: i32,
    /// Where it lies there.
    pub(super) offset: i64,
    /// What decides between its key's two homes.
    pub(super) rank: Option<i64>,
    /// Of everything that a copy keeps.
    pub(super) print: Print,
    /// About how large it is.
    pub(super) bytes: usize,
    /// The record itself.
    pub(super) message: OwnedMessage,
}

/// How many records were seen, and a sum over them that does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Print {
    /// So many.
    pub(super) records: u64,
    sum: u128,
}

impl Print {
    /// Takes others in.
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

/// The key of a record, where it is sound.
pub(super) fn key(message: &BorrowedMessage<'_>) -> Option<UserKey> {
    std::str::from_utf8(message.key()?).ok()?.parse().ok()
}

/// What a copy must keep of a record.
pub(super) fn print(message: &BorrowedMessage<'_>) -> Print {
    Print::of(&raw::from_message(message), message.timestamp().to_millis())
}

impl Item {
    /// Reads a record. Of a user's events the sequence decides; facts about credentials have none, so it is Kafka's time of the record.
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
            print: Print::of(&raw, time),
            bytes: raw.size(),
            message: message.detach(),
        }
    }
}

fn sequence(raw: &Raw) -> Option<i64> {
    let (_, value) = raw.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("ce_sequence"))?;
    std::str::from_utf8(value).ok()?.parse().ok()
}
