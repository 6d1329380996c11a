//! One START and one end for each request that passed authentication, and nothing of the person in them.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Call, Record, Stack, read_topic, until};
use uuid::Uuid;

const TOPIC: &str = "users.analytics";

/// Sends a request under a request id of its own; gives the answer and that id.
async fn traced(call: Call) -> (Answer, String) {
    let id = format!("r-{}", Uuid::new_v4());
    let answer = call.header("X-Request-Id", &id).await;
    assert_eq!(answer.header("x-request-id"), id);
    (answer, id)
}

/// The events of a request once its end is there, START first.
async fn events(stack: &Stack, request: &str) -> Vec<Record> {
    until(&format!("the events of {request}"), async || {
        let all = read_topic(stack.var("KAFKA_BROKERS"), TOPIC).await;
        let ours: Vec<Record> = all.into_iter().filter(|record| record.key == request).collect();
        (ours.len() >= 2).then_some(ours)
    })
    .await
}

/// What one request is expected to leave in the topic.
struct Expected {
    what: &'static str,
    operation: &'static str,
    end: &'static str,
    start: Value,
    done: Value,
}

#[track_caller]
fn check(expected: &Expected, tenant: &str, request: &str, records: &[Record]) {
    let what = expected.what;
    let types: Vec<_> = records.iter().map(|record| record.header("ce_type").to_owned()).collect();
    let wanted = [format!("{}_START", expected.operation), format!("{}_{}", expected.operation, expected.end)];
    assert_eq!(types, wanted, "{what}");
    for (record, data) in records.iter().zip([&expected.start, &expected.done]) {
        let event = record.json();
        assert_eq!(event["type"], record.header("ce_type"), "{what}");
        assert_eq!(event["id"], record.header("ce_id"), "{what}");
        assert_eq!((&event["category"], &event["version"]), (&json!("user"), &json!("1")), "{what}");
        assert_eq!((&event["requestId"], &event["tenantId"]), (&json!(request), &json!(tenant)), "{what}");
        assert!(event["timestamp"].as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')), "{what}: {event}");
        assert_data(what, &event, data);
    }
    assert_ne!(records[0].header("ce_id"), records[1].header("ce_id"), "{what}");
}

/// Equal to the last member; an error is held to its shape alone, since its words are free.
#[track_caller]
fn assert_data(what: &str, event: &Value, data: &Value) {
    let mut got = event.get("data").cloned().unwrap_or_else(|| json!({}));
    if let Some(error) = got.get_mut("error") {
        assert!(error["type"].is_string() && error["message"].is_string(), "{what}: {event}");
        *error = json!("any");
    }
    assert_eq!(&got, data, "{what}: {event}");
}

/// Runs requests and then looks at what each has left.
async fn expect(stack: &Stack, tenant: &str, runs: Vec<(Expected, u16, Call)>) {
    let mut sent = Vec::new();
    for (expected, status, call) in runs {
        let (answer, request) = traced(call).await;
        assert_eq!(answer.status, status, "{}: {}", expected.what, answer.text());
        sent.push((expected, request));
    }
    for (expected, request) in sent {
        check(&expected, tenant, &request, &events(stack, &request).await);
    }
}

fn expected(what: &'static str, operation: &'static str, end: &'static str, start: Value, done: Value) -> Expected {
    Expected { what, operation, end, start, done }
}

pub async fn reads_say_what_was_asked_and_how_much_came(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({ "a": 1 })).await;
    let other = api.user(json!({ "a": 1 })).await;
    let next = api.list("limit=1").await.expect(200).next().unwrap();
    let counted = |n: u32| json!({ "entriesCount": n });
    let first = json!({ "entriesCount": 1, "nextCursor": next });
    let criteria = json!({ "claims": { "a": 1, "b/~": { "c": [] } }, "limit": 5, "cursor": next });
    let searched = json!({ "limit": 5, "cursor": next, "claimKeys": ["/a", "/b~1~0/c"] });
    let runs = vec![
        (expected("get", "USER_RETRIEVE", "SUCCESS", json!({ "id": id }), json!({ "id": id })), 200, api.get(&id)),
        (expected("304", "USER_RETRIEVE", "SUCCESS", json!({ "id": id }), json!({ "id": id })), 304, api.get(&id).header("If-None-Match", "*")),
        (expected("list", "USER_RETRIEVE_LIST", "SUCCESS", json!({ "limit": 100 }), counted(2)), 200, api.list("")),
        (expected("a page", "USER_RETRIEVE_LIST", "SUCCESS", json!({ "limit": 1 }), first), 200, api.list("limit=1")),
        (expected("next page", "USER_RETRIEVE_LIST", "SUCCESS", json!({ "limit": 1, "cursor": next }), counted(1)), 200, api.list(&format!("limit=1&cursor={next}"))),
        (expected("search", "USER_SEARCH", "SUCCESS", searched, counted(0)), 200, api.search(criteria)),
        (expected("search all", "USER_SEARCH", "SUCCESS", json!({ "limit": 100 }), counted(2)), 200, api.search(json!({}))),
        (expected("credentials", "USER_CREDENTIAL_RETRIEVE_LIST", "SUCCESS", json!({ "userId": other, "limit": 3 }), counted(0)), 200, api.credentials(&other, "limit=3")),
    ];
    expect(stack, &api.tenant, runs).await;
}

pub async fn a_writes_success_comes_from_the_log(stack: &'static Stack) {
    let api = stack.tenant();
    let (created, request) = traced(api.create(json!({ "claims": { "a": 1 } }))).await;
    let id = created.expect(201).id();
    let create = expected("create", "USER_CREATE", "SUCCESS", json!({}), json!({ "id": id }));
    check(&create, &api.tenant, &request, &events(stack, &request).await);
    let deleted = json!({ "id": id, "deleted": true });
    let put = |claims: Value| api.update(&id, json!({ "claims": claims }));
    let runs = vec![
        (expected("update", "USER_UPDATE", "SUCCESS", json!({ "id": id }), json!({ "id": id })), 200, put(json!({ "a": 2 }))),
        (expected("async update", "USER_UPDATE", "SUCCESS", json!({ "id": id }), json!({ "id": id })), 202, put(json!({})).header("Prefer", "respond-async")),
        (expected("delete", "USER_DELETE", "SUCCESS", json!({ "id": id }), deleted), 204, api.delete(&id)),
    ];
    expect(stack, &api.tenant, runs).await;
}

pub async fn a_repeated_post_ends_too(stack: &'static Stack) {
    let api = stack.tenant();
    let post = |n: u32| api.create(json!({ "claims": { "n": n } })).header("Idempotency-Key", "k");
    let id = post(1).await.expect(201).id();
    let runs = vec![
        (expected("repeat", "USER_CREATE", "SUCCESS", json!({}), json!({ "id": id })), 200, post(1)),
    ];
    expect(stack, &api.tenant, runs).await;
    let (answer, request) = traced(post(2)).await;
    answer.expect(422);
    let ends: Vec<_> = events(stack, &request).await.iter().map(|record| record.header("ce_type").to_owned()).collect();
    assert_eq!(ends, ["USER_CREATE_START", "USER_CREATE_FAIL"]);
}

pub async fn every_refusal_is_a_fail(stack: &'static Stack) {
    let api = stack.tenant();
    let nothing = api.with_token(&stack.signer().with(&api.tenant, |claims| drop(claims.remove("scope"))));
    let id = Uuid::new_v4().to_string();
    let with_id = json!({ "id": id, "error": "any" });
    let error = json!({ "error": "any" });
    let start = json!({ "id": id });
    let empty = json!({ "claims": {} });
    let page = json!({ "limit": 100 });
    let runs = vec![
        (expected("get 404", "USER_RETRIEVE", "FAIL", start.clone(), with_id.clone()), 404, api.get(&id)),
        (expected("get 400", "USER_RETRIEVE", "FAIL", json!({}), error.clone()), 400, api.get("marker-in-path")),
        (expected("update 404", "USER_UPDATE", "FAIL", start.clone(), with_id.clone()), 404, api.update(&id, empty.clone())),
        (expected("update 400", "USER_UPDATE", "FAIL", start.clone(), with_id.clone()), 400, api.update(&id, json!({}))),
        (expected("delete 404", "USER_DELETE", "FAIL", start.clone(), with_id.clone()), 404, api.delete(&id)),
        (expected("create 400", "USER_CREATE", "FAIL", json!({}), error.clone()), 400, api.create(json!({ "x": 1 }))),
        (expected("search 400", "USER_SEARCH", "FAIL", page.clone(), error.clone()), 400, api.search(json!({ "x": 1 }))),
        (expected("list 400", "USER_RETRIEVE_LIST", "FAIL", json!({}), error.clone()), 400, api.list("limit=0")),
    ];
    expect(stack, &api.tenant, runs).await;
    let types = |operation: &str| [format!("{operation}_START"), format!("{operation}_FAIL")];
    let huge = format!(r#"{{"claims":{{"x":"{}"}}}}"#, "x".repeat(300_000));
    for (operation, status, call) in [
        ("USER_RETRIEVE", 403, nothing.get(&id)),
        ("USER_RETRIEVE_LIST", 403, nothing.list("")),
        ("USER_SEARCH", 403, nothing.search(json!({}))),
        ("USER_CREDENTIAL_RETRIEVE_LIST", 403, nothing.credentials(&id, "")),
        ("USER_CREATE", 403, nothing.create(json!({}))),
        ("USER_UPDATE", 403, nothing.update(&id, empty)),
        ("USER_DELETE", 403, nothing.delete(&id)),
        ("USER_CREATE", 413, api.write(Method::POST, "").body("application/json", huge.clone())),
        ("USER_SEARCH", 413, api.read(Method::POST, "/search").body("application/json", huge)),
        ("USER_CREATE", 415, api.write(Method::POST, "").body("text/plain", "{}")),
        ("USER_UPDATE", 415, api.write(Method::PUT, &format!("/{id}")).body("text/plain", "{}")),
        ("USER_CREDENTIAL_RETRIEVE_LIST", 400, api.credentials("x", "")),
    ] {
        let (answer, request) = traced(call).await;
        assert_eq!(answer.status, status, "{operation}: {}", answer.text());
        let got: Vec<_> = events(stack, &request).await.iter().map(|record| record.header("ce_type").to_owned()).collect();
        assert_eq!(got, types(operation), "{status}");
    }
}

pub async fn a_failed_condition_ends_once(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let put = api.update(&id, json!({ "claims": {} })).header("If-Match", "\"7\"");
    let data = json!({ "id": id, "error": "any" });
    let runs = vec![(expected("412", "USER_UPDATE", "FAIL", json!({ "id": id }), data), 412, put)];
    expect(stack, &api.tenant, runs).await;
}

/// Everything in the topic, once a last request of the tenant has been seen to end there.
async fn all_after(stack: &Stack, api: &Api) -> Vec<Record> {
    let (_, last) = traced(api.list("")).await;
    events(stack, &last).await;
    read_topic(stack.var("KAFKA_BROKERS"), TOPIC).await
}

pub async fn nothing_of_the_person_is_in_the_topic(stack: &'static Stack) {
    let api = stack.tenant();
    let marker = format!("marker{}", Uuid::new_v4().simple());
    let user = json!({ "claims": { "name": marker, "n": [marker] }, "authenticationProvider": { "subjectId": marker, "url": marker } });
    let id = api.create(user.clone()).await.expect(201).id();
    api.get(&id).await.expect(200);
    api.list("").await.expect(200);
    api.search(user.clone()).await.expect(200);
    api.update(&id, user).await.expect(200);
    api.get(&marker).await.expect(400);
    api.list(&format!("limit={marker}")).await.expect(400);
    api.list(&format!("cursor={marker}")).await.expect(400);
    api.search(json!({ "claims": { "a": marker }, &marker: 1 })).await.expect(400);
    api.update(&id, json!({ "claims": {}, &marker: 1 })).await.expect(400);
    api.update(&id, json!({ "claims": {} })).header("If-Match", &marker).await.expect(400);
    api.delete(&id).await.expect(204);
    for record in all_after(stack, &api).await {
        let value = String::from_utf8_lossy(&record.value).into_owned();
        assert!(!value.contains(&marker) && !format!("{:?}{}", record.headers, record.key).contains(&marker), "{value}");
    }
}

pub async fn no_event_without_authentication_or_by_an_import(stack: &'static Stack) {
    let api = stack.tenant();
    let (answer, unauthorized) = traced(api.anonymous().list("")).await;
    answer.expect(401);
    stack.cli().run_with(&["log", "import", "-", "--tenant", &api.tenant], r#"{"claims":{"a":1}}"#).expect(0);
    let id = api.list("").await.expect(200).ids()[0].clone();
    // A write after the import: once its SUCCESS has come from the log, that of the import would have come too.
    let (_, update) = traced(api.update(&id, json!({ "claims": {} }))).await;
    events(stack, &update).await;
    let all = all_after(stack, &api).await;
    assert!(all.iter().all(|record| record.key != unauthorized));
    let created = |record: &&Record| record.json()["tenantId"] == json!(api.tenant) && record.header("ce_type").starts_with("USER_CREATE");
    assert_eq!(all.iter().filter(created).count(), 0);
}

pub async fn each_request_ends_exactly_once(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    for n in 0..5 {
        api.update(&id, json!({ "claims": { "n": n } })).await.expect(200);
    }
    api.delete(&id).await.expect(204);
    let all = all_after(stack, &api).await;
    let ours: Vec<_> = all.iter().map(Record::json).filter(|event| event["tenantId"] == json!(api.tenant)).collect();
    let count = |name: &str| ours.iter().filter(|event| event["type"] == json!(name)).count();
    for (operation, times) in [("USER_CREATE", 1), ("USER_UPDATE", 5), ("USER_DELETE", 1)] {
        assert_eq!(count(&format!("{operation}_START")), times);
        assert_eq!(count(&format!("{operation}_SUCCESS")), times);
        assert_eq!(count(&format!("{operation}_FAIL")), 0);
    }
}
