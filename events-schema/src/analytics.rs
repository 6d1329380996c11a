//! Analytic events: who did what, without personal data. The values of `users.analytics`.

mod data;

use crate::{CONTENT_TYPE, SOURCE, TenantId, Timestamp, envelope::dataschema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
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
    pub fn analytic_type(self, phase: Phase) -> &'static str {
        macro_rules! types {
            ($operation:literal) => {
                match phase {
                    Phase::Start => concat!($operation, "_START"),
                    Phase::Success => concat!($operation, "_SUCCESS"),
                    Phase::Fail => concat!($operation, "_FAIL"),
                }
            };
        }
        match self {
            Self::Create => types!("USER_CREATE"),
            Self::Search => types!("USER_SEARCH"),
            Self::RetrieveList => types!("USER_RETRIEVE_LIST"),
            Self::Retrieve => types!("USER_RETRIEVE"),
            Self::Update => types!("USER_UPDATE"),
            Self::Delete => types!("USER_DELETE"),
            Self::CredentialRetrieveList => types!("USER_CREDENTIAL_RETRIEVE_LIST"),
        }
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
    pub event_type: Cow<'static, str>,
    /// `user`.
    pub category: Cow<'static, str>,
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
    pub version: Cow<'static, str>,
    /// Details of the request. Omitted at level 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// The header `traceparent`. Not a member of the value.
    #[serde(skip)]
    pub traceparent: Option<String>,
}

impl AnalyticEvent {
    /// The record's headers.
    pub fn headers(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let mut headers: Vec<(_, Cow<'_, str>)> = Vec::with_capacity(10);
        headers.extend([
            ("ce_specversion", "1.0".into()),
            ("ce_id", self.id.to_string().into()),
            ("ce_source", SOURCE.into()),
            ("ce_type", (&*self.event_type).into()),
            ("ce_time", self.timestamp.to_string().into()),
            ("ce_dataschema", dataschema(&self.event_type).into()),
            ("content-type", CONTENT_TYPE.into()),
            ("ce_tenantid", self.tenant_id.as_str().into()),
            ("ce_requestid", self.request_id.as_str().into()),
        ]);
        headers.extend(self.traceparent.as_deref().map(|value| ("traceparent", value.into())));
        headers
    }

    /// The record's value: JSON.
    pub fn value(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(512);
        // Maps with string keys and finite numbers: serializing this type can't fail.
        match serde_json::to_writer(&mut value, self) {
            Ok(()) => value,
            Err(_) => Vec::new(),
        }
    }
}
