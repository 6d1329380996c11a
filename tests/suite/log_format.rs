//! The format of the log, as documented for consumers.

use events_schema::UserKey;
use serde_json::{Value, json};
use tests::{
    Api, Record, Stack,
    contracts::{output, python},
    fold, workspace,
};
use uuid::Uuid;

async fn users(stack: &Stack, api: &Api) -> Vec<Record> {
    let all = stack.log().await;
    all.into_iter().filter(|record| record.key.starts_with(&format!("{}/", api.tenant))).collect()
}

/// What consumers may rely on in every record.
#[track_caller]
fn check_envelope(record: &Record, api: &Api) {
    let (tenant, user) = record.key.split_once('/').unwrap();
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_subject", user),
        ("ce_tenantid", tenant),
        ("content-type", "application/json"),
    ] {
        assert_eq!(record.header(name), value);
    }
    assert_eq!(tenant, api.tenant);
    assert!(!record.header("ce_source").is_empty() && !record.header("ce_dataschema").is_empty());
    record.header("ce_id").parse::<Uuid>().unwrap();
    let at = record.header("ce_time");
    assert!(at.len() == 24 && at.ends_with('Z'), "RFC 3339 with milliseconds: {at}");
    let mut names: Vec<_> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), record.headers.len(), "no header twice: {names:?}");
}

fn is_sealed(record: &Record) -> bool {
    let personal = &record.json()["personal"];
    let members: Vec<_> = personal.as_object().unwrap().keys().map(String::as_str).collect();
    members == ["nonce", "ciphertext"]
}

pub async fn the_events_of_one_user(stack: &'static Stack) {
    let api = stack.tenant();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let link = json!({ "subjectId": "s|1", "url": "https://idp.example" });
    let user = json!({ "claims": { "a": [1, "ä"] }, "authenticationProvider": link });
    let created = api
        .create(user.clone())
        .header("X-Request-Id", "log-1")
        .header("traceparent", traceparent)
        .await
        .expect(201);
    let id = created.id();
    let updated =
        api.update(&id, json!({ "claims": { "b": 2 } })).header("X-Request-Id", "log-2").await.expect(200);
    let written = users(stack, &api).await;
    let deleted = api.delete(&id).header("X-Request-Id", "log-3").await.expect(204);

    let records = users(stack, &api).await;
    let positions: Vec<_> = records.iter().map(|record| (record.partition, record.offset)).collect();
    assert_eq!(positions, [created.position(), updated.position(), deleted.position()]);
    for record in &records {
        check_envelope(record, &api);
    }
    let column = |name: &str| records.iter().map(|record| record.header(name).to_owned()).collect::<Vec<_>>();
    assert_eq!(column("ce_type"), ["user.created.v1", "user.updated.v1", "user.deleted.v1"]);
    assert_eq!(column("ce_sequence"), ["1", "2", "3"]);
    assert_eq!(column("ce_requestid"), ["log-1", "log-2", "log-3"]);
    let traces = column("traceparent");
    assert_eq!(traces[0], traceparent);
    assert!(traces[1..].iter().all(|trace| trace.len() == traceparent.len()), "made where none came");
    assert_ne!(traces[1], traces[2]);
    assert!(records[0].json()["createdAt"].is_string());
    assert_eq!(written[0].json()["personal"], user);
    assert_eq!(
        written[1].json()["personal"],
        json!({ "claims": { "b": 2 }, "authenticationProvider": link })
    );
    assert_eq!(records[0].header("ce_keyid"), records[1].header("ce_keyid"), "a user has one key");
    assert!(records[..2].iter().all(is_sealed), "and after the deletion there is none");
    assert_eq!(records[2].json(), json!({}));
}

pub async fn partitions_are_those_of_the_java_client(stack: &'static Stack) {
    let api = stack.tenant();
    for n in 0..20 {
        api.user(json!({ "n": n })).await;
    }
    let records = users(stack, &api).await;
    assert_eq!(records.len(), 20);
    for record in records {
        let key: UserKey = record.key.parse().unwrap();
        assert_eq!(u32::try_from(record.partition), Ok(key.partition(12)), "{}", record.key);
    }
}

pub async fn the_client_is_named_where_the_token_names_one(stack: &'static Stack) {
    let api = stack.tenant();
    let token =
        stack.cli().run(&["token", "--tenant", &api.tenant, "--client-id", "client-7"]).expect(0).stdout;
    api.with_token(token.trim()).create(json!({})).await.expect(201);
    assert_eq!(users(stack, &api).await[0].header("ce_clientid"), "client-7");
}

fn foreign_client(stack: &Stack) -> Value {
    let mut command = python(workspace().join("tests/foreign_client.py"));
    command.args(["--brokers", stack.var("KAFKA_BROKERS"), "--prefix", "", "--schemas"]);
    command.arg(workspace().join("events-schema/schemas"));
    serde_json::from_str(&output(&mut command, "")).unwrap()
}

pub async fn a_foreign_client_reads_the_same_users(stack: &'static Stack) {
    let api = stack.tenant();
    let gone = api.user(json!({ "n": 0 })).await;
    for n in 1..8 {
        let user = json!({ "claims": { "n": n, "t": "ä" }, "authenticationProvider": { "subjectId": n.to_string() } });
        let id = api.create(user).await.expect(201).id();
        for m in 0..n % 3 {
            api.update(&id, json!({ "claims": { "n": n, "m": m } })).await.expect(200);
        }
    }
    api.delete(&gone).await.expect(204);
    let credential = Uuid::new_v4().to_string();
    let kept = api.all(100).await[0]["id"].as_str().unwrap().to_owned();
    let line =
        json!({ "userId": kept, "id": credential, "type": "org.iso.18013.5.1.mDL", "profile": "mobile" });
    let args = ["log", "import", "-", "--credentials", "--tenant", &api.tenant];
    stack.cli().run_with(&args, &line.to_string()).expect(0);

    let seen = tokio::task::spawn_blocking(move || foreign_client(stack)).await.unwrap();
    // Other tests break promises for their own users. Those for this tenant's users must hold.
    let broken: Vec<&Value> = seen["violations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v.to_string().contains(&api.tenant))
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
    for user in api.all(100).await {
        let id = user["id"].as_str().unwrap();
        let theirs = &seen["users"][format!("{}/{id}", api.tenant)];
        assert_eq!(theirs["sealed"], true);
        assert_eq!(theirs["version"], api.get(id).await.expect(200).version());
    }
    assert_eq!(seen["users"][format!("{}/{gone}", api.tenant)]["sealed"], false);
    assert_eq!(seen["credentials"][format!("{}/{kept}", api.tenant)], json!([credential]));
    assert_eq!(api.credentials(&kept, "").await.expect(200).ids(), [credential]);
}

pub async fn the_rule_of_the_log_gives_the_users_of_the_api(stack: &'static Stack) {
    let api = stack.tenant();
    for n in 0..10 {
        let id = api.user(json!({ "n": n })).await;
        let writers = (0..4).map(|m| api.update(&id, json!({ "claims": { "n": m } })).into_future());
        futures_util::future::join_all(writers).await;
        if n % 4 == 0 {
            api.delete(&id).await.expect(204);
        }
    }
    let model = fold(&users(stack, &api).await);
    assert_eq!(model.page(&api.tenant), api.all(3).await);
}
