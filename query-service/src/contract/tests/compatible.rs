//! What a client of the last release would lose with the present document.

use super::{document, operations};
use crate::contract::tests::schemas::breaks;
use serde_json::{Map, Value};
use std::fs;

/// The breaking changes from `before` to `now`.
fn broken(before: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (path, method, operation) in operations(before) {
        let name = format!("{method} {path}");
        match operations(now).into_iter().find(|(p, m, _)| (p, m) == (&path, &method)) {
            None => found.push(format!("{name}: is gone")),
            Some((.., present)) => {
                let (before, now) = (Side(before, operation, &path), Side(now, present, &path));
                found.extend(of_operation(before, now).into_iter().map(|what| format!("{name}: {what}")));
            }
        }
    }
    found
}

/// An operation in its document, and its path.
#[derive(Clone, Copy)]
struct Side<'a>(&'a Value, &'a Value, &'a str);

fn of_operation(before: Side<'_>, now: Side<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if before.1["operationId"] != now.1["operationId"] {
        found.push("its id has changed, and so have the names in generated clients".to_owned());
    }
    found.extend(of_parameters(before, now));
    if let Some(present) = body(&now.resolved(&now.1["requestBody"])) {
        let wide = body(&before.resolved(&before.1["requestBody"])).unwrap_or(Value::Bool(false));
        found.extend(
            breaks(&before.rooted(&wide), &now.rooted(&present))
                .into_iter()
                .map(|what| format!("body {what}")),
        );
    }
    for (status, response) in now.members("responses") {
        let Some(earlier) = before.members("responses").remove(&status) else { continue };
        let what = of_response(before, &before.resolved(&earlier), now, &now.resolved(&response));
        found.extend(what.into_iter().map(|what| format!("{status} {what}")));
    }
    found
}

/// Parameters may come if they are optional, and may not go.
fn of_parameters(before: Side<'_>, now: Side<'_>) -> Vec<String> {
    let (earlier, present) = (before.parameters(), now.parameters());
    let gone = earlier.keys().filter(|key| !present.contains_key(*key)).map(|key| format!("{key} is gone"));
    let mut found: Vec<_> = gone.collect();
    for (key, parameter) in &present {
        match earlier.get(key) {
            earlier
                if parameter["required"] == true
                    && earlier.is_none_or(|earlier| earlier["required"] != true) =>
            {
                found.push(format!("{key} is required now"));
            }
            None => {}
            Some(earlier) => {
                let what = breaks(&before.rooted(&earlier["schema"]), &now.rooted(&parameter["schema"]));
                found.extend(what.into_iter().map(|what| format!("{key} {what}")));
            }
        }
    }
    found
}

/// What the service sends must be what clients of the earlier document can read.
fn of_response(before: Side<'_>, earlier: &Value, now: Side<'_>, present: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, header) in earlier["headers"].as_object().into_iter().flatten() {
        let is_always = before.resolved(header)["required"] == true;
        let present = present["headers"].get(name).map(|header| now.resolved(header));
        if is_always && present.is_none_or(|header| header["required"] != true) {
            found.push(format!("{name} is no longer always there"));
        }
    }
    match (body(earlier), body(present)) {
        (Some(earlier), Some(present)) => {
            // In the other direction: the earlier schema must take what the present one describes. It
            // takes any further member and, by the rules of the contract, any further error code.
            let what = breaks(&now.rooted(&present), &before.rooted(&earlier));
            found.extend(
                what.into_iter()
                    .filter(|what| !what.ends_with("is told no longer") && !what.starts_with("/code:")),
            );
        }
        (Some(_), None) => found.push("has no body now".to_owned()),
        (None, _) => {}
    }
    found
}

fn body(message: &Value) -> Option<Value> {
    message.pointer("/content/application~1json/schema").cloned()
}

impl Side<'_> {
    /// A schema with the components that its references lead to.
    fn rooted(self, schema: &Value) -> Value {
        match schema {
            Value::Object(members) => {
                let components = ("components".to_owned(), self.0["components"].clone());
                Value::Object(members.clone().into_iter().chain([components]).collect())
            }
            other => other.clone(),
        }
    }

    fn resolved(self, value: &Value) -> Value {
        let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.0.pointer(pointer)).unwrap_or(value).clone()
    }

    fn members(self, name: &str) -> Map<String, Value> {
        self.1[name].as_object().cloned().unwrap_or_default()
    }

    /// The parameters of the operation and of its path, by place and name.
    fn parameters(self) -> Map<String, Value> {
        let lists = [&self.0["paths"][self.2]["parameters"], &self.1["parameters"]];
        let all =
            lists.into_iter().filter_map(Value::as_array).flatten().map(|parameter| self.resolved(parameter));
        all.map(|parameter| (format!("{} {}", parameter["in"], parameter["name"]), parameter)).collect()
    }
}

#[test]
fn nothing_breaks_a_client_of_the_last_release() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/contracts/released/openapi.json");
    let released = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(broken(&released, &document()), Vec::<String>::new());
}

/// A change of the document, and what it breaks.
#[track_caller]
fn breaks_with(change: impl FnOnce(&mut Value), wanted: &str) {
    let mut now = document();
    change(&mut now);
    let found = broken(&document(), &now);
    assert!(found.iter().any(|what| what == wanted), "{wanted}: {found:#?}");
}

fn remove(document: &mut Value, pointer: &str, name: &str) {
    assert!(document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name).is_some());
}

#[test]
fn each_way_of_breaking_a_client_is_seen() {
    breaks_with(|now| remove(now, "/paths/~1core~1v1~1users", "post"), "POST /core/v1/users: is gone");
    breaks_with(
        |now| now["components"]["schemas"]["Limit"]["maximum"] = 100.into(),
        "GET /core/v1/users: \"query\" \"limit\" /: has another maximum",
    );
    breaks_with(
        |now| now["components"]["schemas"]["NewUser"]["required"] = serde_json::json!(["claims"]),
        "POST /core/v1/users: body /claims: is required now",
    );
    breaks_with(
        |now| now["components"]["schemas"]["User"]["required"] = serde_json::json!(["id"]),
        "GET /core/v1/users/{id}: 200 /claims: is required now",
    );
    breaks_with(
        |now| remove(now, "/components/responses/Unauthorized/headers", "WWW-Authenticate"),
        "GET /core/v1/users: 401 WWW-Authenticate is no longer always there",
    );
    breaks_with(
        |now| now["components"]["parameters"]["Prefer"]["required"] = true.into(),
        "PUT /core/v1/users/{id}: \"header\" \"Prefer\" is required now",
    );
}

#[test]
fn a_contract_may_grow() {
    let mut now = document();
    now["components"]["schemas"]["User"]["properties"]["more"] = serde_json::json!({ "type": "string" });
    now["components"]["schemas"]["NewUser"]["properties"]["more"] = serde_json::json!({ "type": "string" });
    now["components"]["schemas"]["Limit"]["default"] = 50.into();
    let codes = now.pointer_mut("/components/schemas/Error/properties/code/enum").unwrap();
    codes.as_array_mut().unwrap().push("TooManyRequests".into());
    assert_eq!(broken(&document(), &now), Vec::<String>::new());
}
