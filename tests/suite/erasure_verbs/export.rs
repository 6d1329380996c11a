//! Exports of a living user, an erased user and an unknown one.

use super::bench::{Bench, marker, summary};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use tests::{Stack, scratch, until};
use uuid::Uuid;

const EXPORT: [&str; 2] = ["users", "export"];

pub async fn everything_stored_is_exported(stack: &'static Stack) {
    let (bench, marker) = (Bench::start(stack, &[]).await, marker());
    let id = bench.user(&marker).await;
    bench.issue_credential(&id);
    living(&bench, &id, &marker).await;
    in_json_lines(&bench, &id);
    a_missing_key_is_reported(&bench).await;
    bench.api.delete(&id).await.expect(204);
    erased(&bench, &id, &marker);
    let nobody = bench.on(&EXPORT, &Uuid::new_v4().to_string(), &[]).expect(1);
    assert!(
        nobody.stdout.is_empty() && nobody.stderr.contains("no such user was ever recorded"),
        "{nobody:?}"
    );
}

async fn living(bench: &Bench, id: &str, marker: &str) {
    let export = until("the analytic events are there", async || {
        let export = exported(bench, id);
        (export["analyticEvents"].as_array().unwrap().len() >= 4).then_some(export)
    })
    .await;
    let shown = bench.api.get(id).await.expect(200);
    assert_eq!(export["current"]["user"], shown.json(), "as the API shows it");
    assert_eq!((&export["current"]["version"], &export["tombstone"]), (&json!(2), &Value::Null));
    assert_eq!(export["complete"], true);
    assert!(export["key"]["id"].is_string() && export["current"]["createdAt"].is_string());
    let personal: Vec<_> = events(&export).iter().map(|event| event["personal"].clone()).collect();
    let link = json!({ "subjectId": marker });
    let first = json!({ "claims": { "name": marker }, "authenticationProvider": link });
    let second = json!({ "claims": { "other": marker }, "authenticationProvider": link });
    assert_eq!(personal, [first, second]);
    for (n, event) in (1..).zip(events(&export)) {
        assert_eq!((&event["sequence"], &event["accepted"]), (&json!(n), &json!(true)));
        assert!(event["requestId"].is_string() && event["time"].is_string() && event.get("sealed").is_none());
    }
    assert_eq!(export["credentials"][0]["credential"]["type"], "T");
    assert_eq!(export["credentialFacts"][0]["type"], "credential.issued.v1");
    assert_eq!(export["deadLetters"], json!([]));
    let is_of_user = |about: &Value| about["event"]["tenantId"] == bench.api.tenant.as_str();
    assert!(export["analyticEvents"].as_array().unwrap().iter().all(is_of_user));
}

fn erased(bench: &Bench, id: &str, marker: &str) {
    let export = exported(bench, id);
    assert!(!export.to_string().contains(marker), "{export}");
    assert_eq!((&export["current"], &export["key"]), (&Value::Null, &Value::Null));
    assert_eq!(export["complete"], true, "what a deletion made unreadable is not missing");
    assert_eq!(export["tombstone"]["version"], 3);
    let sealed: Vec<_> = events(&export).iter().map(|event| event["sealed"].clone()).collect();
    assert_eq!(sealed, [json!(true), json!(true), Value::Null], "a deletion has no personal part");
    assert_eq!(export["credentials"], json!([]));
    assert_eq!(export["credentialFacts"].as_array().unwrap().len(), 1);
}

fn in_json_lines(bench: &Bench, id: &str) {
    let mut said = summary(&bench.on(&EXPORT, id, &["--json"]).expect(0));
    let mut export = exported(bench, id);
    for export in [&mut said, &mut export] {
        // These may differ from run to run.
        export
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !["exportedAt", "analyticEvents"].contains(&name.as_str()));
    }
    assert_eq!(said, export, "the same object");
}

/// An incomplete export must say so: its reader can't notice that something is missing.
async fn a_missing_key_is_reported(bench: &Bench) {
    let (marker, file) = (marker(), scratch("export").join("user.json"));
    let id = bench.user(&marker).await;
    bench.sql(&format!("DELETE FROM rollcall_keys.data_keys WHERE owner_id = '{id}'")).await;
    let said = bench.on(&EXPORT, &id, &[]).expect(1);
    let export = said.json();
    assert!(said.stderr.contains("not complete: key missing: 2 events could not be opened"), "{said:?}");
    assert_eq!([&export["complete"], &export["key"]], [&json!(false), &Value::Null]);
    assert_eq!(events(&export)[1]["sealed"], true);
    assert_eq!(export["current"]["user"]["claims"]["other"], marker, "folded data is there");
    let args = ["--json", "--output", file.to_str().unwrap()];
    let told = summary(&bench.on(&EXPORT, &id, &args).expect(1));
    assert_eq!(told, json!({ "file": file, "complete": false }));
    assert_eq!(written(&file)["complete"], false);
}

pub async fn an_export_goes_into_a_new_file(stack: &'static Stack) {
    let (bench, marker, dir) = (Bench::start(stack, &[]).await, marker(), scratch("export"));
    let (id, file) = (bench.user(&marker).await, dir.join("user.json"));
    let to = |id: &str, file: &Path| bench.on(&EXPORT, id, &["--output", file.to_str().unwrap()]);
    let output = to(&id, &file).expect(0);
    assert!(output.stdout.is_empty() && output.stderr.contains("contains personal data"), "{output:?}");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(written(&file)["current"]["user"], bench.api.get(&id).await.expect(200).json());

    let first = fs::read(&file).unwrap();
    let again = to(&id, &file).expect(1);
    assert!(again.stderr.contains("already exists") && again.stdout.is_empty(), "{again:?}");
    assert_eq!(fs::read(&file).unwrap(), first);
    let link = dir.join("link");
    std::os::unix::fs::symlink(dir.join("elsewhere"), &link).unwrap();
    to(&id, &link).expect(1);
    let nowhere = to(&id, &dir.join("none/user.json")).expect(1);
    assert!(nowhere.stderr.contains("none is no directory"), "{nowhere:?}");
    to(&Uuid::new_v4().to_string(), &dir.join("nobody.json")).expect(1);
    let long = dir.join("n".repeat(250));
    assert!(to(&id, &long).expect(1).stderr.contains("can't be written"));
    assert_eq!(files(&dir), [link, file], "nothing else is left behind");
}

fn written(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn exported(bench: &Bench, id: &str) -> Value {
    let output = bench.on(&EXPORT, id, &[]).expect(0);
    assert!(output.stderr.contains("this contains personal data"), "{output:?}");
    output.json()
}

fn events(export: &Value) -> &Vec<Value> {
    export["events"].as_array().unwrap()
}
