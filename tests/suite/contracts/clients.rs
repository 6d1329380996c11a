//! Clients that stock generators make of the served OpenAPI document, against the stack.

use super::document;
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};
use tests::{
    Api, Stack,
    contracts::{output, source, tools},
    scratch,
};
use uuid::Uuid;

/// Enough for three pages of the largest size.
const USERS: usize = 2_500;

pub async fn a_typescript_client_uses_every_operation(stack: &'static Stack) {
    use_every_operation(stack, "typescript").await;
}

pub async fn a_python_client_uses_every_operation(stack: &'static Stack) {
    use_every_operation(stack, "python").await;
}

pub async fn a_java_client_uses_every_operation(stack: &'static Stack) {
    use_every_operation(stack, "java").await;
}

async fn use_every_operation(stack: &'static Stack, language: &str) {
    let api = stack.tenant();
    let holder = Uuid::new_v4();
    import_users(stack, &api, holder);
    let credentials = import_credentials(stack, &api, holder);
    let work = scratch(language);
    let openapi = work.join("openapi.json");
    fs::write(&openapi, document(&api, "/openapi.json").await.to_string()).unwrap();
    let mut client = Command::new(source("clients/run.sh"));
    client.args([Path::new(language), &*openapi, &*work, tools()]);
    client.env("ROLLCALL_URL", stack.url()).env("TOKEN", api.token.as_ref().unwrap());
    client.env("USERS", USERS.to_string()).env("HOLDER", holder.to_string());
    client.env("CREDENTIALS", Value::from(credentials).to_string());
    let said = output(&mut client, "");
    assert!(said.ends_with("every operation answered as described\n"), "{said}");
}

fn import_users(stack: &Stack, api: &Api, holder: Uuid) {
    let others = (1..USERS).map(|n| json!({ "claims": { "n": n } }));
    let lines: Vec<_> = others.chain([json!({ "id": holder })]).map(|line| line.to_string()).collect();
    stack.cli().run_with(&["log", "import", "-", "--tenant", &api.tenant], &lines.join("\n")).expect(0);
}

/// Imports credentials of every kind. Returns them as the list must show them.
fn import_credentials(stack: &Stack, api: &Api, holder: Uuid) -> Vec<Value> {
    let items = every_kind();
    let lines = items.iter().enumerate().map(|(n, item)| {
        let mut line = item.clone();
        line["userId"] = json!(holder);
        line["createdAt"] = json!(format!("2024-01-01T00:00:0{n}Z"));
        line.to_string()
    });
    let lines: Vec<_> = lines.collect();
    let args = ["log", "import", "-", "--credentials", "--tenant", &api.tenant];
    stack.cli().run_with(&args, &lines.join("\n")).expect(0);
    items
}

/// Each profile, each status, each form of the open members, and one with required members alone.
fn every_kind() -> Vec<Value> {
    let id = || Uuid::new_v4().to_string();
    let time = "2024-01-01T00:00:00Z";
    vec![
        json!({
            "id": id(), "type": "org.iso.18013.5.1.mDL", "profile": "mobile", "offerId": "o", "sessionId": "s",
            "credentialConfigurationId": "c", "issuedDate": time, "validFrom": time, "validUntil": time,
            "status": "valid", "devicePublicKey": { "kty": "EC", "x": "a" },
            "namespaces": { "org.iso.18013.5.1": ["family_name"] }, "msoHash": "h",
        }),
        json!({ "id": id(), "type": "T", "profile": "compact", "status": "suspended", "devicePublicKey": "b2s" }),
        json!({ "id": id(), "type": "T", "profile": "compact-semantic", "status": "revoked", "namespaces": ["a", { "b": 1 }] }),
        json!({ "id": id(), "type": "T", "profile": "web-semantic" }),
    ]
}
