//! The AsyncAPI document. It is written by hand, except for the schemas and the messages of the
//! analytic types, which are inserted here so that the document is complete.

mod analytic;

use events_schema::schema;
use serde_json::{Map, Value, json};

/// The document with the current schemas and analytic messages.
pub(crate) fn complete(document: Value) -> Value {
    analytic::with_messages(with_schemas(document))
}

fn with_schemas(mut document: Value) -> Value {
    let mut all = headers();
    for (name, mut schema) in schema::all() {
        let shared = schema.as_object_mut().and_then(|schema| schema.remove("$defs"));
        if let Some(Value::Object(shared)) = shared {
            all.extend(shared);
        }
        all.insert(name, schema);
    }
    let mut all = Value::Object(all);
    repoint(&mut all);
    document["components"]["schemas"] = all;
    document
}

/// Schemas of the key and the headers.
fn headers() -> Map<String, Value> {
    let text = |description: &str| json!({"type": "string", "description": description});
    let of = |format: &str, description: &str| json!({"type": "string", "format": format, "description": description});
    let common = json!({
        "ce_specversion": {"const": "1.0"},
        "ce_id": of("uuid", "Unique among all events."),
        "ce_source": text("The system that wrote the event; `rollcall` for Rollcall's own."),
        "ce_type": text("The type with its version."),
        "ce_time": of("date-time", "When the event was created."),
        "ce_subject": of("uuid", "The user's id, as in the key."),
        "ce_dataschema": of("uri", "`urn:rollcall:schema:<ce_type>`, the `$id` of the schema of the value. A running service has it at `/schemas/<ce_type>.json`."),
        "ce_tenantid": text("The tenant, as in the key: 1 to 64 characters of `A-Z a-z 0-9 . _ -`."),
        "content-type": {"const": "application/json"},
        "traceparent": text("W3C Trace Context of the request. An import has none."),
    });
    let with = |more: Value| {
        let members = [&common, &more].into_iter().filter_map(Value::as_object).flatten();
        Value::Object(members.map(|(name, schema)| (name.clone(), schema.clone())).collect())
    };
    let request = text("The HTTP request that caused it. An import has none.");
    let client = text("The OAuth client that made the request.");
    let sequence = json!({"type": "string", "pattern": "^[1-9][0-9]*$",
        "description": "The user's version once the event is accepted. 1 for a creation."});
    let key_id = of(
        "uuid",
        "The id of the user's data key, under which the personal data is sealed. Present if there is personal data. When the user is \
         deleted the key is destroyed, and nobody can open the data any more.",
    );
    let user = with(
        json!({"ce_sequence": sequence, "ce_keyid": key_id, "ce_requestid": request, "ce_clientid": client}),
    );
    let mut analytic = with(json!({"ce_requestid": text("The request's id, and the record's key.")}));
    // A request's user is unknown until its path has been read.
    analytic.as_object_mut().and_then(|members| members.remove("ce_subject"));
    let always = ["ce_specversion", "ce_id", "ce_source", "ce_type"];
    let ours = |more: &[&'static str]| {
        [&always[..], &["ce_time", "ce_dataschema", "content-type", "ce_tenantid"], more].concat()
    };
    let schemas = json!({
        "UserKey": text("`<tenantId>/<userId>`, the UUID in lower case with hyphens."),
        "UserHeaders": {"type": "object", "properties": user, "required": ours(&["ce_subject", "ce_sequence"])},
        // CloudEvents' own rules apply to issuing systems. Other headers are checked only if given.
        "CredentialHeaders": {"type": "object", "properties": with(json!({})), "required": always},
        "AnalyticHeaders": {"type": "object", "properties": analytic, "required": ours(&["ce_requestid"])},
    });
    schemas.as_object().cloned().unwrap_or_default()
}

/// Moves references from a schema's own definitions to those of the document.
fn repoint(value: &mut Value) {
    match value {
        Value::Object(members) => {
            // Within the document the schemas have no address of their own.
            members.remove("$schema");
            members.remove("$id");
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                *reference = reference.replace("#/$defs/", "#/components/schemas/");
            }
            members.values_mut().for_each(repoint);
        }
        Value::Array(items) => items.iter_mut().for_each(repoint),
        _ => {}
    }
}

/// Every reference leads somewhere, every message has its schema, and the channels are the topics.
pub(crate) fn check(document: &Value) {
    assert_eq!(document["asyncapi"], json!("3.1.0"));
    check_references(document, document);
    let topics = [
        ("users", events_schema::topics::USERS),
        ("credentials", events_schema::topics::CREDENTIALS),
        ("analytics", events_schema::topics::ANALYTICS),
    ];
    for (channel, topic) in topics {
        assert_eq!(document["channels"][channel]["address"], json!(format!("{{prefix}}{topic}")));
    }
    for (name, message) in document["components"]["messages"].as_object().expect("messages") {
        let reference = format!("#/components/schemas/{name}");
        assert_eq!(message["payload"]["schema"]["$ref"], json!(reference), "{name}");
    }
    let domain = events_schema::EventType::ALL.map(events_schema::EventType::as_str);
    let analytic = schema::analytic_types().map(|(operation, phase)| operation.analytic_type(phase));
    for name in domain.into_iter().chain(analytic) {
        let message = &document["components"]["messages"][name];
        assert_eq!(message["headers"]["allOf"][1]["properties"]["ce_type"]["const"], json!(name));
        assert_eq!(message["examples"].as_array().map(Vec::len), Some(1), "{name}");
    }
}

fn check_references(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("a reference within the document");
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(|value| check_references(document, value));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(document, value)),
        _ => {}
    }
}
