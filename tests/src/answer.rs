//! Answers of the API.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Asserts the status.
    ///
    /// # Panics
    /// The status is another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body is UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is no JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header, if it exists.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header is text"))
    }

    /// A header.
    ///
    /// # Panics
    /// It does not exist.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    /// The version in `ETag`.
    ///
    /// # Panics
    /// There is no version.
    #[track_caller]
    pub fn version(&self) -> u64 {
        let quoted = self.header("etag");
        let version = quoted.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')?.parse().ok());
        version.unwrap_or_else(|| panic!("not the tag of a version: {quoted}"))
    }

    /// Its position in the log: partition and offset.
    ///
    /// # Panics
    /// There is no valid `Log-Position`.
    #[track_caller]
    pub fn position(&self) -> (i32, i64) {
        let (partition, offset) = self.header("log-position").split_once(':').expect("<partition>:<offset>");
        (partition.parse().expect("a partition"), offset.parse().expect("an offset"))
    }

    /// The id of the user in the body.
    #[track_caller]
    pub fn id(&self) -> String {
        self.json()["id"].as_str().expect("a user has an id").to_owned()
    }

    /// The entries of the page.
    ///
    /// # Panics
    /// The body is no page.
    #[track_caller]
    pub fn data(&self) -> Vec<Value> {
        self.json()["data"].as_array().unwrap_or_else(|| panic!("no page: {}", self.text())).clone()
    }

    /// The ids of the entries of the page.
    #[track_caller]
    pub fn ids(&self) -> Vec<String> {
        self.data().iter().map(|entry| entry["id"].as_str().expect("an entry has an id").to_owned()).collect()
    }

    /// The cursor of the next page, if there is one.
    pub fn next(&self) -> Option<String> {
        self.json().get("nextCursor").map(|cursor| cursor.as_str().expect("a cursor is text").to_owned())
    }

    /// The only detail of an error.
    ///
    /// # Panics
    /// It is no error, or does not have exactly one detail.
    #[track_caller]
    pub fn detail(&self) -> Value {
        match self.json()["details"].as_array().map(Vec::as_slice) {
            Some([detail]) => detail.clone(),
            _ => panic!("not one detail: {}", self.text()),
        }
    }
}
