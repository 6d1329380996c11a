//! Decoding events of users for analytics.

use events_schema::{UserRecord, decode_user};
use rdkafka::{Message as _, message::BorrowedMessage};
use service_kit::kafka::{self, RawHeader};

/// Decodes an event that a request asked for. `None` for imports, and for records that can't be
/// decoded.
pub(super) fn decode(message: &BorrowedMessage<'_>) -> Option<UserRecord> {
    // A header with a name that is not UTF-8 makes the record poison, so it has no SUCCESS.
    let header =
        |RawHeader { name, value }| Some((std::str::from_utf8(name).ok()?, value.unwrap_or_default()));
    let headers: Vec<(&str, &[u8])> = kafka::headers(message).map(header).collect::<Option<_>>()?;
    // Imports have many and large events, so they are skipped before their values are parsed.
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("ce_requestid"))?;
    let key = std::str::from_utf8(message.key()?).ok()?.parse().ok()?;
    let value = serde_json::from_slice(message.payload()?).ok()?;
    decode_user(&key, &headers, value).ok().flatten()
}
