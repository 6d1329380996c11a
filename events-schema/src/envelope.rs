//! The CloudEvents attributes of a record, in Kafka's binary mode: one header each.

use crate::{TenantId, Timestamp};
use uuid::Uuid;

/// `ce_source` of every event that Rollcall writes.
pub const SOURCE: &str = "rollcall";
/// `content-type` of every value.
pub const CONTENT_TYPE: &str = "application/json";

/// `ce_dataschema`: the `$id` of the schema of that name. It is a URN because events outlive the
/// address of the service that wrote them.
pub(crate) fn dataschema(name: &str) -> String {
    format!("urn:rollcall:schema:{name}")
}

/// A record's headers as text, in writing order.
pub type Headers = Vec<(&'static str, String)>;

/// The types of domain events, including the version.
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

    /// The value of `ce_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserCreated => "user.created.v1",
            Self::UserUpdated => "user.updated.v1",
            Self::UserDeleted => "user.deleted.v1",
            Self::CredentialIssued => "credential.issued.v1",
            Self::CredentialStatusChanged => "credential.status-changed.v1",
        }
    }
}

/// The attributes of an event that Rollcall writes. They repeat the key's tenant and user, so that
/// a consumer need not parse the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `ce_id`: unique among all events.
    pub id: Uuid,
    /// `ce_type`.
    pub event_type: EventType,
    /// `ce_time`: when the event was created. (When the user was created is in the data.)
    pub time: Timestamp,
    /// `ce_subject`: the user's id.
    pub user: Uuid,
    /// `ce_tenantid`.
    pub tenant: TenantId,
    /// `ce_sequence`: the user's version once this event is accepted. Credential events have none.
    pub sequence: Option<u64>,
    /// `ce_keyid`: the id of the data key under which the personal data is sealed, if it is.
    pub key_id: Option<Uuid>,
    /// `ce_requestid`: the HTTP request that caused it. An import has none.
    pub request_id: Option<String>,
    /// `ce_clientid`: the OAuth client that made the request.
    pub client_id: Option<String>,
    /// `traceparent` of W3C Trace Context, from the request that caused it. An import has none.
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
            ("ce_dataschema", dataschema(self.event_type.as_str())),
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
