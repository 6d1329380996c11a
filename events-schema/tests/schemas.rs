//! The committed schemas match the types, and a type only ever gains members.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p events-schema --test schemas` rewrites them; a change that
//! would break a reader of old events is refused then too: it needs a new version of the type, and
//! an upcaster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod asyncapi;
mod compatible;

use compatible::breaks;
use events_schema::schema;
use serde_json::Value;
use std::{fs, path::PathBuf};

fn here(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> Option<Value> {
    let text = fs::read_to_string(here(name)).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Expects that the committed document is `wanted`, or rewrites it if requested.
#[track_caller]
fn is_committed(name: &str, wanted: &Value) {
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(here(name), format!("{wanted:#}\n")).unwrap();
    }
    let hint = "run UPDATE_SCHEMAS=1 cargo test -p events-schema --test schemas";
    assert_eq!(read(name).as_ref(), Some(wanted), "{name} is not that of the types: {hint}");
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (name, now) in schema::all() {
        let file = format!("schemas/{name}.json");
        let broken = read(&file).map(|before| breaks(&before, &now)).unwrap_or_default();
        assert!(broken.is_empty(), "{name}: {broken:#?}");
        is_committed(&file, &now);
    }
}

/// Events of the last release are in topics, and its consumers run.
#[test]
fn nothing_breaks_a_consumer_of_the_last_release() {
    let released = here("../tests/contracts/released/schemas");
    let mut compared = 0;
    for file in fs::read_dir(released).unwrap().map(|entry| entry.unwrap().path()) {
        let before = read(file.to_str().unwrap()).unwrap();
        let now = read(&format!("schemas/{}", file.file_name().unwrap().to_str().unwrap()));
        let now = now.unwrap_or_else(|| panic!("{} is gone", file.display()));
        assert_eq!(breaks(&before, &now), Vec::<String>::new(), "{}", file.display());
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn the_asyncapi_document_names_every_type() {
    let document = read("asyncapi.json").expect("the document is committed");
    let completed = asyncapi::complete(document);
    is_committed("asyncapi.json", &completed);
    asyncapi::check(&completed);
}
