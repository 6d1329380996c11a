//! The CloudEvents attributes of a record, in Kafka's binary mode: one header each.

use crate::{TenantId, Timestamp};
use uuid::Uuid;

/// `ce_source` of every event that Rollcall makes.
pub const SOURCE: &str = "rollcall";
/// `content-type` of every value.
pub const CONTENT_TYPE: &str = "application/json";
/// Where `ce_dataschema` points: the committed schemas of this crate, by type.
const DATASCHEMA: &str = "urn:rollcall:schema:";

/// A record's headers as text, in the order in which they are written.
pub type Headers = Vec<(&'static str, String)>;

/// The types of domain events, with their version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// `user.created.v1`
    UserCreated,
    /// `user.updated.v1`
    UserUpdated,
    /// `user.deleted.v1`
    UserDeleted,
    /// `credential.issued.v1`
    CredentialIssued,
    /// `credential.status-changed.v1`
    CredentialStatusChanged,
}

impl EventType {
    /// Every type, for schemas and tests.
    pub const ALL: [Self; 5] = [
        Self::UserCreated,
        Self::UserUpdated,
        Self::UserDeleted,
        Self::CredentialIssued,
        Self::CredentialStatusChanged,
    ];

    /// `ce_type` as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserCreated => "user.created.v1",
            Self::UserUpdated => "user.updated.v1",
            Self::UserDeleted => "user.deleted.v1",
            Self::CredentialIssued => "credential.issued.v1",
            Self::CredentialStatusChanged => "credential.status-changed.v1",
        }
    }
}

/// The attributes of an event that Rollcall writes. The key's tenant and user stand in it too, so that a consumer
/// need not take the key apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `ce_id`: unique among all events.
    pub id: Uuid,
    /// `ce_type`.
    pub event_type: EventType,
    /// `ce_time`: when the event was made (not when the user was created: that is in the data).
    pub time: Timestamp,
    /// `ce_subject`: the user's id.
    pub user: Uuid,
    /// `ce_tenantid`.
    pub tenant: TenantId,
    /// `ce_sequence`: the user's version once this event is accepted. Credential facts have none.
    pub sequence: Option<u64>,
    /// `ce_keyid`: the id of the data key under which the personal part is sealed, where there is one.
    pub key_id: Option<Uuid>,
    /// `ce_requestid`: the HTTP request that asked for it; an import has none.
    pub request_id: Option<String>,
    /// `ce_clientid`: the OAuth client that asked for it.
    pub client_id: Option<String>,
    /// `traceparent` of W3C Trace Context: of the request that asked for it; an import has none.
    pub traceparent: Option<String>,
}

impl Envelope {
    /// The headers of the record.
    pub fn headers(&self) -> Headers {
        let mut headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", self.id.to_string()),
            ("ce_source", SOURCE.to_owned()),
            ("ce_type", self.event_type.as_str().to_owned()),
            ("ce_time", self.time.to_string()),
            ("ce_subject", self.user.to_string()),
            ("ce_dataschema", format!("{DATASCHEMA}{}", self.event_type.as_str())),
            ("content-type", CONTENT_TYPE.to_owned()),
            ("ce_tenantid", self.tenant.to_string()),
        ];
        let optional = [
            ("ce_sequence", self.sequence.map(|n| n.to_string())),
            ("ce_keyid", self.key_id.map(|id| id.to_string())),
            ("ce_requestid", self.request_id.clone()),
            ("ce_clientid", self.client_id.clone()),
            ("traceparent", self.traceparent.clone()),
        ];
        headers.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        headers
    }
}
