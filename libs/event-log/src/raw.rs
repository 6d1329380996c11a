//! The bytes of a record, read from a message.

pub use events_schema::raw::{Headers, Raw, UNREADABLE};
use rdkafka::{Message as _, message::BorrowedMessage};
use service_kit::kafka::{self, RawHeader};

/// The most headers that a record may have. A header takes two bytes in the log but much more in
/// memory, so a record with more headers is not read in full.
pub(crate) const MAX_HEADER_COUNT: usize = 1_000;

/// Copies the bytes of a message.
pub fn from_message(message: &BorrowedMessage<'_>) -> Raw {
    let text = |name: &[u8]| std::str::from_utf8(name).unwrap_or(UNREADABLE).to_owned();
    let header = |RawHeader { name, value }| (text(name), value.unwrap_or_default().to_vec());
    Raw {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        // One more than the limit, so that the decoder sees that there were too many.
        headers: kafka::headers(message).take(MAX_HEADER_COUNT + 1).map(header).collect(),
    }
}
