//! A summary of a record without personal data: its place, time, type, user and sequence.
//!
//! Anybody may have written the headers and the key, so a value is shown only if it has the expected
//! form. This keeps out claims and terminal escape sequences.

use events_schema::{Timestamp, UserKey};
use rdkafka::message::{BorrowedMessage, Message as _};
use serde::Serialize;
use service_kit::{kafka, request_id};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A summary. `--json` prints it as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    topic: String,
    partition: i32,
    offset: i64,
    /// The time of the event, or else Kafka's time of the record.
    time: Option<Timestamp>,
    id: Option<Uuid>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    tenant_id: Option<String>,
    user_id: Option<Uuid>,
    sequence: Option<u64>,
    request_id: Option<String>,
    client_id: Option<String>,
    /// The size of the value.
    bytes: usize,
}

impl Summary {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let key: Option<UserKey> = message.key().and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            time: header(message, "ce_time")
                .or_else(|| Timestamp::from_unix_millis(message.timestamp().to_millis()?)),
            id: header(message, "ce_id"),
            event_type: token(message, "ce_type"),
            tenant_id: key.as_ref().map(|key| key.tenant.to_string()),
            user_id: key.map(|key| key.user),
            sequence: header(message, "ce_sequence"),
            request_id: token(message, "ce_requestid"),
            client_id: token(message, "ce_clientid"),
            bytes: message.payload_len(),
        }
    }
}

fn text<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    std::str::from_utf8(kafka::header(message, name)?).ok()
}

fn header<T: FromStr>(message: &BorrowedMessage<'_>, name: &str) -> Option<T> {
    text(message, name)?.parse().ok()
}

fn token(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    text(message, name).filter(|text| request_id::is_well_formed(text)).map(str::to_owned)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format!("{} {}:{}", self.topic, self.partition, self.offset);
        let time = self.time.map_or("-".to_owned(), |time| time.to_string());
        let event_type = self.event_type.as_deref().unwrap_or("-");
        write!(f, "{place:<28}  {time:<24}  {event_type:<28}  ")?;
        match (&self.tenant_id, &self.user_id) {
            (Some(tenant), Some(user)) => write!(f, "{tenant}/{user}")?,
            _ => write!(f, "-")?,
        }
        self.sequence.map_or(Ok(()), |sequence| write!(f, "  #{sequence}"))
    }
}
