//! The bytes of a Kafka record, and the JSON form in which the read model stores its headers.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Memory that a header needs in addition to its name and value, in bytes.
pub const HEADER_SIZE: usize = size_of::<(String, Vec<u8>)>();

/// Stands for the name of a header whose name is not UTF-8. No valid name contains U+0000.
pub const UNREADABLE: &str = "\0";

/// Header names and values in record order.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The bytes of a record, as kept in a dead letter.
#[derive(Clone, Default)]
pub struct Raw {
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Option<Vec<u8>>,
    /// The record's headers.
    pub headers: Headers,
}

impl Raw {
    /// The approximate size in memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize =
            self.headers.iter().map(|(name, value)| HEADER_SIZE + name.len() + value.len()).sum();
        length(&self.key) + length(&self.value) + headers
    }

    /// The first header with this name, in any letter case, if its value is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The headers as a JSON array of name and value pairs, for people. Bytes that are not text are
    /// replaced.
    #[must_use]
    pub fn headers_json(&self) -> serde_json::Value {
        let pair = |(name, value): &(String, Vec<u8>)| {
            // PostgreSQL text can't contain U+0000.
            serde_json::json!([name.replace('\0', ""), String::from_utf8_lossy(value).replace('\0', "")])
        };
        self.headers.iter().map(pair).collect()
    }

    /// The headers without loss: each value is base64, and an unreadable name is null.
    #[must_use]
    pub fn raw_headers(&self) -> serde_json::Value {
        let pair = |(name, value): &(String, Vec<u8>)| {
            let name = if name == UNREADABLE { None } else { Some(name) };
            serde_json::json!([name, STANDARD.encode(value)])
        };
        self.headers.iter().map(pair).collect()
    }

    /// Reads headers that [`Self::raw_headers`] wrote, or [`Self::headers_json`] if not `is_raw`.
    #[must_use]
    pub fn read_headers(kept: serde_json::Value, is_raw: bool) -> Option<Headers> {
        let pairs: Vec<(Option<String>, String)> = serde_json::from_value(kept).ok()?;
        let value = |text: String| if is_raw { STANDARD.decode(text).ok() } else { Some(text.into_bytes()) };
        let header = |(name, text): (Option<String>, _)| {
            Some((name.unwrap_or_else(|| UNREADABLE.to_owned()), value(text)?))
        };
        pairs.into_iter().map(header).collect()
    }
}
