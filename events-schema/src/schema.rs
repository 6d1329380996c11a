//! JSON Schemas of the events' data, generated from the types and committed under `schemas/`. A
//! running service has them at `/schemas/<name>.json`.

use crate::{
    EventType,
    analytics::{AnalyticEvent, Operation, Phase},
    credential::{CredentialIssued, CredentialStatusChanged},
    envelope::dataschema,
    user::{UserCreated, UserDeleted, UserUpdated},
};
use schemars::{Schema, schema_for};
use serde_json::{Value, json};

/// The AsyncAPI 3 document of the topics, including every schema.
pub const ASYNCAPI: &str = include_str!("../asyncapi.json");

/// The schema of the envelope that all analytic events share.
const ENVELOPE: &str = "users.analytics";

/// Every schema with its name: those of domain events, those of analytic events, the envelope.
pub fn all() -> Vec<(String, Value)> {
    let domain = EventType::ALL.map(|event_type| named(event_type.as_str(), of(event_type).to_value()));
    let envelope = named(ENVELOPE, schema_for!(AnalyticEvent).to_value());
    domain.into_iter().chain(analytic_types().map(analytic)).chain([envelope]).collect()
}

/// Every operation with every phase.
pub fn analytic_types() -> impl Iterator<Item = (Operation, Phase)> {
    Operation::ALL.into_iter().flat_map(|operation| Phase::ALL.map(|phase| (operation, phase)))
}

/// The schema of a domain event's data.
fn of(event_type: EventType) -> Schema {
    match event_type {
        EventType::UserCreated => schema_for!(UserCreated),
        EventType::UserUpdated => schema_for!(UserUpdated),
        EventType::UserDeleted => schema_for!(UserDeleted),
        EventType::CredentialIssued => schema_for!(CredentialIssued),
        EventType::CredentialStatusChanged => schema_for!(CredentialStatusChanged),
    }
}

/// The schema of an analytic type: the envelope with this `type` and its `data`.
fn analytic((operation, phase): (Operation, Phase)) -> (String, Value) {
    let name = operation.analytic_type(phase);
    let mut schema = schema_for!(AnalyticEvent).to_value();
    schema["title"] = json!(name);
    schema["description"] = json!(format!("The value of a `{name}`."));
    schema["properties"]["type"] = json!({"type": "string", "const": name, "description": "The type."});
    schema["properties"]["data"] = operation.data_schema(phase);
    named(name, schema)
}

fn named(name: &str, mut schema: Value) -> (String, Value) {
    schema["$id"] = json!(dataschema(name));
    (name.to_owned(), schema)
}
