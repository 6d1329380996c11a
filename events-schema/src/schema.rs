//! JSON Schemas of the events' data, generated from the types and committed under `schemas/`.

use crate::{
    EventType,
    analytics::AnalyticEvent,
    credential::{CredentialIssued, CredentialStatusChanged},
    user::{UserCreated, UserDeleted, UserUpdated},
};
use schemars::{Schema, schema_for};

/// The schema of a domain event's data.
pub fn of(event_type: EventType) -> Schema {
    match event_type {
        EventType::UserCreated => schema_for!(UserCreated),
        EventType::UserUpdated => schema_for!(UserUpdated),
        EventType::UserDeleted => schema_for!(UserDeleted),
        EventType::CredentialIssued => schema_for!(CredentialIssued),
        EventType::CredentialStatusChanged => schema_for!(CredentialStatusChanged),
    }
}

/// The schema of the values of `users.analytics`.
pub fn of_analytics() -> Schema {
    schema_for!(AnalyticEvent)
}

/// The AsyncAPI 3 document of the topics, including every schema.
pub const ASYNCAPI: &str = include_str!("../asyncapi.json");
