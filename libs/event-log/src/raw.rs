//! The bytes of a record, as they are kept for dead letters.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rdkafka::{Message as _, message::BorrowedMessage};
use service_kit::kafka::{self, RawHeader};

/// The most headers that a record may have. A header takes two bytes in the log but much more in
/// memory, so a record with more headers is not read in full.
pub(crate) const MAX_HEADER_COUNT: usize = 1_000;
/// The memory, in bytes, that a header takes in addition to its name and value.
pub(crate) const HEADER_SIZE: usize = size_of::<(String, Vec<u8>)>();

/// Stands for a header name that is not UTF-8. No real name equals it: names hold no U+0000.
pub const UNREADABLE: &str = "\0";

/// Names and values of headers, in their order.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The bytes of a record.
#[derive(Clone, Default)]
pub struct Raw {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Names and values of the headers, in their order.
    pub headers: Headers,
}

impl Raw {
    /// Copies the bytes of a message.
    pub fn from_message(message: &BorrowedMessage<'_>) -> Self {
        let text = |name: &[u8]| std::str::from_utf8(name).unwrap_or(UNREADABLE).to_owned();
        let header = |RawHeader { name, value }| (text(name), value.unwrap_or_default().to_vec());
        Self {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            // One more than the limit, so that the decoder sees that there were too many.
            headers: kafka::headers(message).take(MAX_HEADER_COUNT + 1).map(header).collect(),
        }
    }

    /// The approximate size in memory.
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize =
            self.headers.iter().map(|(name, value)| HEADER_SIZE + name.len() + value.len()).sum();
        length(&self.key) + length(&self.value) + headers
    }

    /// The first header with this name, in any letter case, if its value is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The headers as a JSON array of `[name, value]`, so that repeated ones survive. For people:
    /// bytes that are not UTF-8 are replaced.
    pub fn headers_json(&self) -> serde_json::Value {
        let pair = |(name, value): &(String, Vec<u8>)| {
            // PostgreSQL stores no U+0000 in a text.
            serde_json::json!([name.replace('\0', ""), String::from_utf8_lossy(value).replace('\0', "")])
        };
        self.headers.iter().map(pair).collect()
    }

    /// The same without loss: each value in base64.
    pub fn raw_headers(&self) -> serde_json::Value {
        // PostgreSQL can't store the placeholder of an unreadable name, so it becomes null.
        let pair = |(name, value): &(String, Vec<u8>)| {
            let name = if name == UNREADABLE { None } else { Some(name) };
            serde_json::json!([name, STANDARD.encode(value)])
        };
        self.headers.iter().map(pair).collect()
    }

    /// Reads headers that [`Self::raw_headers`] printed, or [`Self::headers_json`] if `is_raw` is
    /// false.
    pub fn read_headers(kept: serde_json::Value, is_raw: bool) -> Option<Headers> {
        let pairs: Vec<(Option<String>, String)> = serde_json::from_value(kept).ok()?;
        let value = |text: String| if is_raw { STANDARD.decode(text).ok() } else { Some(text.into_bytes()) };
        let header = |(name, text): (Option<String>, _)| {
            Some((name.unwrap_or_else(|| UNREADABLE.to_owned()), value(text)?))
        };
        pairs.into_iter().map(header).collect()
    }
}
