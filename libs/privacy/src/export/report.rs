//! The form of an export.

use crate::erasure::{Place, Tombstone};
use event_log::cuts::Cut;
use events_schema::{TenantId, Timestamp};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

/// Everything that is stored about one user. It contains personal data.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// The user's tenant.
    pub tenant_id: TenantId,
    /// The user.
    pub user_id: Uuid,
    /// When the export was made.
    pub exported_at: Timestamp,
    /// Whether everything that is not erased could be read.
    pub complete: bool,
    /// Why the export is incomplete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Partitions that do not begin at offset 0. The export lacks what was before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<Cut>,
    /// The current user. `None` if the user is deleted or parked.
    pub current: Option<CurrentUser>,
    /// What remains of a deleted user.
    pub tombstone: Option<Tombstone>,
    /// The id of the data key, if there is one.
    pub key: Option<KeyId>,
    /// The records about the user in `users.events`, in their order.
    pub events: Vec<Event>,
    /// The user's credentials in the read model.
    pub credentials: Vec<Credential>,
    /// The records about the user's credentials in `users.credentials`, in their order.
    pub credential_facts: Vec<CredentialFact>,
    /// Records of the user that could not be folded, and those queued behind them.
    pub dead_letters: Vec<DeadLetter>,
    /// The user's rows in personal tables of projections beside the users.
    pub projections: Vec<ProjectionRow>,
    /// Analytic events about the user that are still in their topic.
    pub analytic_events: Vec<AnalyticEvent>,
}

/// The current user.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentUser {
    /// The version.
    pub version: i64,
    /// When the user was created.
    pub created_at: Timestamp,
    /// The user's representation in the API.
    pub user: Box<RawValue>,
}

/// A data key.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct KeyId {
    /// Its id.
    pub id: Uuid,
}

/// A record of `users.events`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place in the log.
    #[serde(flatten)]
    pub place: Place,
    /// `ce_type`.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// `ce_time`.
    pub time: Option<String>,
    /// `ce_sequence`.
    pub sequence: Option<i64>,
    /// `ce_requestid`.
    pub request_id: Option<String>,
    /// `ce_clientid`.
    pub client_id: Option<String>,
    /// `ce_keyid`.
    pub key_id: Option<String>,
    /// Whether it took effect. `None` if it is not folded yet.
    pub accepted: Option<bool>,
    /// Why it had no effect.
    pub reason: Option<String>,
    /// The personal part, if it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal: Option<Value>,
    /// `true` if it has a personal part that can't be read, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<bool>,
    /// The whole value, if this build does not know its form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// A credential in the read model.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id.
    pub id: Uuid,
    /// Its place in the list's order.
    pub created_at: Timestamp,
    /// The last known status.
    pub status: Option<String>,
    /// The credential's representation in the API. `None` if only a status is known so far.
    pub credential: Option<Box<RawValue>>,
}

/// A record of `users.credentials`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialFact {
    /// The partition.
    pub partition: i32,
    /// The offset in that partition.
    pub offset: i64,
    /// `ce_type`.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// `ce_time`, or Kafka's time of the record.
    pub time: Option<String>,
    /// The record's value.
    pub value: Value,
}

/// A dead letter.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// `<topic>:<partition>:<offset>`
    pub id: String,
    /// The code of the reason.
    pub reason: String,
    /// The reason in words.
    pub detail: String,
    /// Since when it is a dead letter.
    pub parked_at: Timestamp,
    /// The record's value.
    pub value: Value,
}

/// A row in a personal table of a projection beside the users.
#[derive(Serialize)]
pub struct ProjectionRow {
    /// The table: `projection_<name>_<generation>.<table>`.
    pub table: String,
    /// The row.
    pub row: Value,
}

/// An analytic event.
#[derive(Serialize)]
pub struct AnalyticEvent {
    /// Its place in the topic.
    pub place: String,
    /// The event.
    pub event: Value,
}
