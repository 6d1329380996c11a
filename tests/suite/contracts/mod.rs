//! The contracts as foreign programs read them.

mod clients;
mod fuzzer;
mod validators;

pub use clients::{
    a_java_client_uses_every_operation, a_python_client_uses_every_operation,
    a_typescript_client_uses_every_operation,
};
pub use fuzzer::a_fuzzer_gets_only_described_answers;
pub use validators::{events_match_the_schemas_they_name, foreign_validators_find_nothing_but_mutations};

use reqwest::Method;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tests::{
    Api, Record,
    contracts::{output, python},
    scratch,
};

/// A document of the running service.
async fn document(api: &Api, path: &str) -> Value {
    api.path(Method::GET, path).await.expect(200).json()
}

/// A new directory with the JSON Schemas of the messages in the AsyncAPI document.
async fn schemas(api: &Api) -> PathBuf {
    let directory = scratch("schemas");
    let asyncapi = document(api, "/asyncapi.json").await;
    for name in asyncapi["components"]["messages"].as_object().unwrap().keys() {
        let schema = document(api, &format!("/schemas/{name}.json")).await;
        fs::write(directory.join(format!("{name}.json")), schema.to_string()).unwrap();
    }
    directory
}

/// Checks the records against the schemas that they name. Returns how many each schema has.
pub async fn count_by_schema(api: &Api, records: &[Record]) -> Value {
    let line = |record: &Record| {
        let dataschema = record.header("ce_dataschema");
        json!({ "headers": { "ce_dataschema": dataschema }, "value": record.json() }).to_string() + "\n"
    };
    let lines: String = records.iter().map(line).collect();
    let mut checker = python("records.py");
    checker.arg(schemas(api).await);
    serde_json::from_str(&output(&mut checker, &lines)).unwrap()
}
