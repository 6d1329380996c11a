//! Foreign validators, and mutations that each of them must find.

use super::{count_by_schema, document, schemas};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};
use tests::{
    Record, Stack,
    contracts::{output, python, tools},
    read_topic, until, workspace,
};

/// A fault in a document: its name, the validators that must find it, how it is made.
type Mutation = (&'static str, &'static [&'static str], fn(&mut Value));

const REDOCLY: &str = "redocly";
const SPEC: &str = "openapi_spec_validator";
const PARSER: &str = "asyncapi_parser";
const EXAMPLES: &str = "examples";
const SCHEMA: &str = "jsonschema";

const OPENAPI: &[Mutation] = &[
    ("openapi.no-success", &[REDOCLY], |document| {
        remove(document, "/paths/~1core~1v1~1users/get/responses", "200")
    }),
    ("openapi.no-description", &[REDOCLY, SPEC], |document| {
        remove(document, "/components/responses/Conflict", "description")
    }),
    ("openapi.wrong-type", &[REDOCLY, SPEC], |document| {
        set(document, "/components/schemas/Limit/type", "integr")
    }),
    ("openapi.lost-schema", &[REDOCLY, SPEC], |document| {
        remove(document, "/components/schemas", "Credential")
    }),
    ("openapi.wrong-example", &[REDOCLY], |document| {
        set(document, "/components/responses/Conflict/content/application~1json/example/code", "Confl");
    }),
    ("openapi.unused", &[REDOCLY], |document| {
        document["components"]["responses"]["Unused"] = json!({ "description": "Nobody answers this." });
    }),
];

const ASYNCAPI: &[Mutation] = &[
    ("asyncapi.wrong-action", &[PARSER], |document| set(document, "/operations/readUsers/action", "publish")),
    ("asyncapi.lost-channel", &[PARSER], |document| remove(document, "/channels", "analytics")),
    ("asyncapi.no-protocol", &[PARSER], |document| {
        document["servers"]
            .as_object_mut()
            .unwrap()
            .values_mut()
            .for_each(|server| remove(server, "", "protocol"));
    }),
    ("asyncapi.wrong-payload", &[EXAMPLES], |document| {
        set(document, "/components/messages/USER_DELETE_SUCCESS/examples/0/payload/data/id", "none");
    }),
    ("asyncapi.wrong-header", &[EXAMPLES], |document| {
        remove(document, "/components/messages/user.created.v1/examples/0/headers", "ce_sequence");
    }),
];

const SCHEMAS: &[Mutation] =
    &[("wrong-schema", &[SCHEMA], |schema| set(schema, "/properties/data/type", "objekt"))];

fn remove(document: &mut Value, pointer: &str, name: &str) {
    let parent = document.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    assert!(parent.remove(name).is_some(), "{pointer} has no {name}");
}

fn set(document: &mut Value, pointer: &str, value: &str) {
    *document.pointer_mut(pointer).unwrap() = json!(value);
}

fn write(directory: &Path, name: &str, document: &Value) {
    fs::write(directory.join(format!("{name}.json")), document.to_string()).unwrap();
}

/// Writes the mutations of a document. Returns who must find what: lines of a validator and a file.
fn write_mutations(directory: &Path, document: &Value, mutations: &[Mutation]) -> Vec<String> {
    let mut expected = Vec::new();
    for (name, validators, mutate) in mutations {
        let mut mutant = document.clone();
        mutate(&mut mutant);
        write(directory, name, &mutant);
        expected.extend(validators.iter().map(|validator| format!("{validator}\t{name}.json")));
    }
    expected
}

/// Each validator runs once, over the documents and all their mutations.
pub async fn foreign_validators_find_nothing_but_mutations(stack: &'static Stack) {
    let api = stack.tenant();
    let directory = schemas(&api).await;
    let (openapi, asyncapi) = (document(&api, "/openapi.json").await, document(&api, "/asyncapi.json").await);
    write(&directory, "openapi", &openapi);
    write(&directory, "asyncapi", &asyncapi);
    // The tree's own, with the parameter for the prefix and all ways to log in.
    fs::copy(workspace().join("events-schema/asyncapi.json"), directory.join("asyncapi.tree.json")).unwrap();
    let schema = document(&api, "/schemas/USER_SEARCH_START.json").await;
    let mut expected = write_mutations(&directory, &openapi, OPENAPI);
    expected.extend(write_mutations(&directory, &asyncapi, ASYNCAPI));
    expected.extend(write_mutations(&directory, &schema, SCHEMAS));

    let said = output(python("validate.py").args([&*directory, tools()]), "");
    let found: BTreeSet<_> =
        said.lines().filter_map(|line| Some(line.rsplit_once('\t')?.0.to_owned())).collect();
    for expected in &expected {
        assert!(found.contains(expected), "not found: {expected}\n{said}");
    }
    let mutants: Vec<_> =
        [OPENAPI, ASYNCAPI, SCHEMAS].concat().iter().map(|(name, ..)| format!("{name}.json")).collect();
    let others: Vec<_> = said
        .lines()
        .filter(|line| !mutants.iter().any(|mutant| line.split('\t').nth(1) == Some(mutant)))
        .collect();
    assert_eq!(others, Vec::<&str>::new());
}

pub async fn events_match_the_schemas_they_name(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({ "a": 1 })).await;
    api.update(&id, json!({ "claims": {} })).await.expect(200);
    api.search(json!({ "claims": { "a": 1 } })).await.expect(200);
    api.list("limit=1001").await.expect(400);
    api.delete(&id).await.expect(204);
    let ends = ["USER_SEARCH_SUCCESS", "USER_RETRIEVE_LIST_FAIL", "USER_DELETE_SUCCESS"];
    let records = until("all events are there", async || {
        let records = records_of(stack, &api.tenant).await;
        let has = |name: &&str| records.iter().any(|record| record.header("ce_type") == *name);
        ends.iter().all(has).then_some(records)
    })
    .await;
    let counts = count_by_schema(&api, &records).await;
    for name in ["user.created.v1", "user.deleted.v1", "USER_SEARCH_START"].iter().chain(&ends) {
        assert_eq!(counts[format!("urn:rollcall:schema:{name}")], 1, "{counts}");
    }
}

/// The tenant's domain events and analytic events.
async fn records_of(stack: &Stack, tenant: &str) -> Vec<Record> {
    let brokers = stack.var("KAFKA_BROKERS");
    let mut records = read_topic(brokers, "users.events").await;
    records.extend(read_topic(brokers, "users.analytics").await);
    records.retain(|record| record.find("ce_tenantid") == Some(tenant));
    records
}
