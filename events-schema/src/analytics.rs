//! Analytic events: who did what, without personal data. The values of `users.analytics`.

mod data;

use crate::{CONTENT_TYPE, Headers, SOURCE, TenantId, Timestamp, envelope::dataschema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What a request does. Its three event types begin with the operation's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `USER_CREATE_*`
    Create,
    /// `USER_SEARCH_*`
    Search,
    /// `USER_RETRIEVE_LIST_*`
    RetrieveList,
    /// `USER_RETRIEVE_*`
    Retrieve,
    /// `USER_UPDATE_*`
    Update,
    /// `USER_DELETE_*`
    Delete,
    /// `USER_CREDENTIAL_RETRIEVE_LIST_*`
    CredentialRetrieveList,
}

/// The stage of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It passed authentication. Recorded once the body is read and parsed.
    Start,
    /// It succeeded.
    Success,
    /// It failed.
    Fail,
}

impl Phase {
    /// Every phase, in the order of a request.
    pub const ALL: [Self; 3] = [Self::Start, Self::Success, Self::Fail];
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::Search,
        Self::RetrieveList,
        Self::Retrieve,
        Self::Update,
        Self::Delete,
        Self::CredentialRetrieveList,
    ];

    /// The schema of `data` in events of a phase of this operation.
    pub fn data_schema(self, phase: Phase) -> Value {
        data::schema(self, phase)
    }

    /// The analytic type of a phase of this operation.
    pub fn analytic_type(self, phase: Phase) -> String {
        let operation = match self {
            Self::Create => "USER_CREATE",
            Self::Search => "USER_SEARCH",
            Self::RetrieveList => "USER_RETRIEVE_LIST",
            Self::Retrieve => "USER_RETRIEVE",
            Self::Update => "USER_UPDATE",
            Self::Delete => "USER_DELETE",
            Self::CredentialRetrieveList => "USER_CREDENTIAL_RETRIEVE_LIST",
        };
        let phase = match phase {
            Phase::Start => "START",
            Phase::Success => "SUCCESS",
            Phase::Fail => "FAIL",
        };
        format!("{operation}_{phase}")
    }
}

/// How much an analytic event contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 1: only the envelope, no `data`.
    Metadata,
    /// 2: data that is not sensitive.
    NonSensitive,
    /// 3: everything, including claims and subject ids.
    Full,
}

/// `category` of every event of this service.
pub const CATEGORY: &str = "user";
/// `version` of the envelope.
pub const VERSION: &str = "1";

/// The envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "users.analytics")]
pub struct AnalyticEvent {
    /// Unique. The id of a change's SUCCESS is derived from the domain event's id.
    pub id: Uuid,
    /// E.g. `USER_UPDATE_SUCCESS`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// `user`.
    pub category: String,
    /// The request's id, and the record's key.
    pub request_id: String,
    /// The client's address, on events that a service records while it serves the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_ip: Option<String>,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The OAuth client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// `1`.
    pub version: String,
    /// Details of the request. Omitted at level 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// The header `traceparent`. Not a member of the value.
    #[serde(skip)]
    pub traceparent: Option<String>,
}

impl AnalyticEvent {
    /// The record's headers.
    pub fn headers(&self) -> Headers {
        let mut headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", self.id.to_string()),
            ("ce_source", SOURCE.to_owned()),
            ("ce_type", self.event_type.clone()),
            ("ce_time", self.timestamp.to_string()),
            ("ce_dataschema", dataschema(&self.event_type)),
            ("content-type", CONTENT_TYPE.to_owned()),
            ("ce_tenantid", self.tenant_id.to_string()),
            ("ce_requestid", self.request_id.clone()),
        ];
        headers.extend(self.traceparent.iter().map(|value| ("traceparent", value.clone())));
        headers
    }

    /// The record's value: JSON.
    pub fn value(&self) -> Vec<u8> {
        // Maps with string keys and finite numbers: serializing this type can't fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
