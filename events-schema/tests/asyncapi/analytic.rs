//! The messages of `users.analytics`, one for each type.

use events_schema::{
    analytics::{Operation, Phase},
    schema,
};
use serde_json::{Map, Value, json};

const ID: &str = "0198f3c1-5c0a-7c1e-9d52-3a1f0a6b7c90";
const REQUEST: &str = "01a20a9a-ae63-757f-b740-01ec4de1809a";
const TIME: &str = "2026-01-02T03:04:05.678Z";

/// The document with a message for each type in the channel, its operation and the components.
pub(super) fn with_messages(mut document: Value) -> Value {
    let names: Vec<_> =
        schema::analytic_types().map(|(operation, phase)| operation.analytic_type(phase)).collect();
    for (operation, phase) in schema::analytic_types() {
        let name = operation.analytic_type(phase);
        document["components"]["messages"][name] = message(operation, phase);
    }
    let of_channel = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/messages/{name}")})));
    document["channels"]["analytics"]["messages"] = Value::Object(of_channel.collect());
    let of_operation =
        names.iter().map(|name| json!({"$ref": format!("#/channels/analytics/messages/{name}")}));
    document["operations"]["readAnalytics"]["messages"] = of_operation.collect();
    document
}

fn message(operation: Operation, phase: Phase) -> Value {
    let name = operation.analytic_type(phase);
    json!({
        "name": name,
        "title": name,
        "summary": summary(phase),
        "contentType": "application/json",
        "headers": {"allOf": [
            {"$ref": "#/components/schemas/AnalyticHeaders"},
            {"properties": {"ce_type": {"const": name}}},
        ]},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": format!("#/components/schemas/{name}")},
        },
        "bindings": {"kafka": {
            "key": {
                "type": "string",
                "description": "The request id: the events of one request are in one partition, START first.",
            },
            "bindingVersion": "0.5.0",
        }},
        "examples": [example(name, &operation.data_schema(phase))],
    })
}

fn summary(phase: Phase) -> &'static str {
    match phase {
        Phase::Start => "The request passed authentication.",
        Phase::Success => "The request succeeded.",
        Phase::Fail => "The request failed.",
    }
}

/// A record at level 2.
fn example(name: &str, data: &Value) -> Value {
    let mut payload = json!({
        "id": ID, "type": name, "category": "user", "requestId": REQUEST, "tenantId": "acme", "clientId": "portal",
        "timestamp": TIME, "version": "1",
    });
    let data = members(data);
    if !data.is_empty() {
        payload["data"] = Value::Object(data);
    }
    let headers = json!({
        "ce_specversion": "1.0", "ce_id": ID, "ce_source": "rollcall", "ce_type": name, "ce_time": TIME,
        "ce_dataschema": format!("urn:rollcall:schema:{name}"), "content-type": "application/json",
        "ce_tenantid": "acme", "ce_requestid": REQUEST,
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    });
    json!({"name": name, "summary": "A record at level 2: its headers and its value.", "headers": headers, "payload": payload})
}

/// The members of `data` that have an example.
fn members(data: &Value) -> Map<String, Value> {
    let properties = data["properties"].as_object().into_iter().flatten();
    properties.filter_map(|(name, schema)| Some((name.clone(), schema["examples"].get(0)?.clone()))).collect()
}
