//! Each authenticated request has one START and one end in the analytics topic, without personal
//! data.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Call, Record, Stack, read_topic, until};
use uuid::Uuid;

const TOPIC: &str = "users.analytics";

/// Sends a request with a new request id. Returns the answer and the id.
async fn traced(call: Call) -> (Answer, String) {
    let id = format!("r-{}", Uuid::new_v4());
    let answer = call.header("X-Request-Id", &id).await;
    assert_eq!(answer.header("x-request-id"), id);
    (answer, id)
}

/// The events of a request, START first. Waits for the end.
async fn events(stack: &Stack, request: &str) -> Vec<Record> {
    until(&format!("the events of {request}"), async || {
        let all = read_topic(stack.var("KAFKA_BROKERS"), TOPIC).await;
        let ours: Vec<Record> = all.into_iter().filter(|record| record.key == request).collect();
        (ours.len() >= 2).then_some(ours)
    })
    .await
}

/// A request and its expected events.
struct Case {
    operation: &'static str,
    end: &'static str,
    status: u16,
    call: Call,
    start: Value,
    done: Value,
}

impl Case {
    fn new(operation: &'static str, end: &'static str, status: u16, call: Call) -> Self {
        Self { operation, end, status, call, start: json!({}), done: json!({}) }
    }

    /// START's data.
    fn start(self, start: Value) -> Self {
        Self { start, ..self }
    }

    /// The end's data.
    fn done(self, done: Value) -> Self {
        Self { done, ..self }
    }

    /// The same data in both.
    fn both(self, data: &Value) -> Self {
        self.start(data.clone()).done(data.clone())
    }

    /// The same data in START and in FAIL, where an error is added.
    fn both_with_error(self, data: Value) -> Self {
        let mut done = data.clone();
        done["error"] = json!("any");
        self.start(data).done(done)
    }
}

fn succeeds(operation: &'static str, status: u16, call: Call) -> Case {
    Case::new(operation, "SUCCESS", status, call)
}

fn fails(operation: &'static str, status: u16, call: Call) -> Case {
    Case::new(operation, "FAIL", status, call).done(json!({ "error": "any" }))
}

/// Sends the requests, then checks the events of each.
async fn expect(stack: &Stack, api: &Api, cases: Vec<Case>) {
    let mut sent = Vec::new();
    for Case { operation, end, status, call, start, done } in cases {
        let what = format!("{operation}_{end} ({status})");
        let (answer, request) = traced(call).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let types = [format!("{operation}_START"), format!("{operation}_{end}")];
        sent.push((what, request, types, [start, done]));
    }
    for (what, request, types, data) in sent {
        let records = events(stack, &request).await;
        assert_eq!(kinds(&records), types, "{what}");
        let traces: Vec<_> = records.iter().map(|record| record.header("traceparent")).collect();
        assert_eq!(traces[0], traces[1], "{what}: the request has one trace");
        for (record, data) in records.iter().zip(&data) {
            check_envelope(&what, &api.tenant, &request, record);
            check_data(&what, &record.json(), data);
        }
    }
}

fn kinds(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.header("ce_type").to_owned()).collect()
}

#[track_caller]
fn check_envelope(what: &str, tenant: &str, request: &str, record: &Record) {
    let event = record.json();
    assert_eq!(event["type"], record.header("ce_type"), "{what}");
    assert_eq!(event["id"], record.header("ce_id"), "{what}");
    assert_eq!((&event["category"], &event["version"]), (&json!("user"), &json!("1")), "{what}");
    assert_eq!((&event["requestId"], &event["tenantId"]), (&json!(request), &json!(tenant)), "{what}");
    assert!(
        event["timestamp"].as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')),
        "{what}: {event}"
    );
}

/// Equal in every member. Of an error only the form is compared, since its words may change.
#[track_caller]
fn check_data(what: &str, event: &Value, data: &Value) {
    let mut got = event.get("data").cloned().unwrap_or_else(|| json!({}));
    if let Some(error) = got.get_mut("error") {
        assert!(error["type"].is_string() && error["message"].is_string(), "{what}: {event}");
        *error = json!("any");
    }
    assert_eq!(&got, data, "{what}: {event}");
}

pub async fn reads_record_the_request_and_the_count(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({ "a": 1 })).await;
    api.user(json!({ "a": 1 })).await;
    let next = api.list("limit=1").await.expect(200).next().unwrap();
    let (user, two) = (json!({ "id": id }), json!({ "entriesCount": 2 }));
    let cases = vec![
        succeeds("USER_RETRIEVE", 200, api.get(&id)).both(&user),
        succeeds("USER_RETRIEVE", 304, api.get(&id).header("If-None-Match", "*")).both(&user),
        succeeds("USER_RETRIEVE_LIST", 200, api.list("")).start(json!({ "limit": 100 })).done(two.clone()),
        succeeds("USER_RETRIEVE_LIST", 200, api.list("limit=1"))
            .start(json!({ "limit": 1 }))
            .done(json!({ "entriesCount": 1, "nextCursor": next })),
        succeeds("USER_RETRIEVE_LIST", 200, api.list(&format!("limit=1&cursor={next}")))
            .start(json!({ "limit": 1, "cursor": next }))
            .done(json!({ "entriesCount": 1 })),
        succeeds("USER_SEARCH", 200, api.search(json!({}))).start(json!({ "limit": 100 })).done(two),
        succeeds("USER_CREDENTIAL_RETRIEVE_LIST", 200, api.credentials(&id, "limit=3"))
            .start(json!({ "userId": id, "limit": 3 }))
            .done(json!({ "entriesCount": 0 })),
    ];
    expect(stack, &api, cases).await;
}

pub async fn a_search_names_its_paths_and_no_values(stack: &'static Stack) {
    let api = stack.tenant();
    api.user(json!({})).await;
    api.user(json!({})).await;
    let next = api.list("limit=1").await.expect(200).next().unwrap();
    let criteria = json!({ "claims": { "a": 1, "b/~": { "c": "x" } }, "limit": 5, "cursor": next });
    let cases = vec![
        succeeds("USER_SEARCH", 200, api.search(criteria))
            .start(json!({ "limit": 5, "cursor": next, "claimKeys": ["/a", "/b~1~0/c"] }))
            .done(json!({ "entriesCount": 0 })),
    ];
    expect(stack, &api, cases).await;
}

pub async fn a_writes_success_comes_from_the_log(stack: &'static Stack) {
    let api = stack.tenant();
    let (created, request) = traced(api.create(json!({ "claims": { "a": 1 } }))).await;
    let id = created.expect(201).id();
    let user = json!({ "id": id });
    let records = events(stack, &request).await;
    assert_eq!(kinds(&records), ["USER_CREATE_START", "USER_CREATE_SUCCESS"]);
    check_data("create", &records[0].json(), &json!({}));
    check_data("create", &records[1].json(), &user);

    let put = || api.update(&id, json!({ "claims": { "a": 2 } }));
    let cases = vec![
        succeeds("USER_UPDATE", 200, put()).both(&user),
        succeeds("USER_UPDATE", 202, put().header("Prefer", "respond-async")).both(&user),
        succeeds("USER_DELETE", 204, api.delete(&id)).start(user).done(json!({ "id": id, "deleted": true })),
    ];
    expect(stack, &api, cases).await;
}

pub async fn a_repeated_post_has_an_end(stack: &'static Stack) {
    let api = stack.tenant();
    let post = |n: u32| api.create(json!({ "claims": { "n": n } })).header("Idempotency-Key", "k");
    let id = post(1).await.expect(201).id();
    let cases = vec![succeeds("USER_CREATE", 200, post(1)).done(json!({ "id": id }))];
    expect(stack, &api, cases).await;
    let (answer, request) = traced(post(2)).await;
    answer.expect(422);
    assert_eq!(kinds(&events(stack, &request).await), ["USER_CREATE_START", "USER_CREATE_FAIL"]);
}

pub async fn a_refused_request_fails_with_fixed_words(stack: &'static Stack) {
    let api = stack.tenant();
    let (known, unknown) = (api.user(json!({})).await, Uuid::new_v4().to_string());
    let put = |id: &str, body: Value| api.update(id, body);
    let cases = vec![
        fails("USER_RETRIEVE", 404, api.get(&unknown)).both_with_error(json!({ "id": unknown })),
        fails("USER_RETRIEVE", 400, api.get("marker-in-path")),
        fails("USER_UPDATE", 404, put(&unknown, json!({ "claims": {} })))
            .both_with_error(json!({ "id": unknown })),
        fails("USER_UPDATE", 400, put(&unknown, json!({}))).both_with_error(json!({ "id": unknown })),
        fails("USER_UPDATE", 412, put(&known, json!({ "claims": {} })).header("If-Match", "\"7\""))
            .both_with_error(json!({ "id": known })),
        fails("USER_DELETE", 404, api.delete(&unknown)).both_with_error(json!({ "id": unknown })),
        fails("USER_CREATE", 400, api.create(json!({ "x": 1 }))),
        fails("USER_RETRIEVE_LIST", 400, api.list("limit=0")),
    ];
    expect(stack, &api, cases).await;
}

pub async fn every_rejection_is_a_fail(stack: &'static Stack) {
    let api = stack.tenant();
    let nothing = api.with_token(&stack.signer().with(&api.tenant, |claims| drop(claims.remove("scope"))));
    let id = Uuid::new_v4().to_string();
    let huge = format!(r#"{{"claims":{{"x":"{}"}}}}"#, "x".repeat(300_000));
    let (post, search) = (|| api.write(Method::POST, ""), || api.read(Method::POST, "/search"));
    for (operation, status, call) in [
        ("USER_RETRIEVE", 403, nothing.get(&id)),
        ("USER_RETRIEVE_LIST", 403, nothing.list("")),
        ("USER_SEARCH", 403, nothing.search(json!({}))),
        ("USER_CREDENTIAL_RETRIEVE_LIST", 403, nothing.credentials(&id, "")),
        ("USER_CREATE", 403, nothing.create(json!({}))),
        ("USER_UPDATE", 403, nothing.update(&id, json!({ "claims": {} }))),
        ("USER_DELETE", 403, nothing.delete(&id)),
        ("USER_CREATE", 413, post().body("application/json", huge.clone())),
        ("USER_SEARCH", 413, search().body("application/json", huge)),
        ("USER_CREATE", 415, post().body("text/plain", "{}")),
        ("USER_UPDATE", 415, api.write(Method::PUT, &format!("/{id}")).body("text/plain", "{}")),
        ("USER_SEARCH", 400, api.search(json!({ "x": 1 }))),
        ("USER_CREDENTIAL_RETRIEVE_LIST", 400, api.credentials("x", "")),
    ] {
        let (answer, request) = traced(call).await;
        assert_eq!(answer.status, status, "{operation}: {}", answer.text());
        let types = [format!("{operation}_START"), format!("{operation}_FAIL")];
        assert_eq!(kinds(&events(stack, &request).await), types, "{status}");
    }
}

/// Everything in the topic, once the tenant's last request and all others have their ends. The ends
/// of reads and of changes come from different services, so none of them is the last one.
async fn all_after(stack: &Stack, api: &Api) -> Vec<Record> {
    let (_, last) = traced(api.list("")).await;
    events(stack, &last).await;
    until("every request has its end", async || {
        let all = read_topic(stack.var("KAFKA_BROKERS"), TOPIC).await;
        let ours = all.iter().filter(|record| record.find("ce_tenantid") == Some(&*api.tenant));
        let (starts, ends): (Vec<_>, Vec<_>) =
            ours.partition(|record| record.header("ce_type").ends_with("_START"));
        (starts.len() == ends.len()).then_some(all)
    })
    .await
}

pub async fn no_personal_data_is_in_the_topic(stack: &'static Stack) {
    let api = stack.tenant();
    let marker = format!("marker{}", Uuid::new_v4().simple());
    let link = json!({ "subjectId": marker, "url": format!("https://{marker}.example") });
    let user = json!({ "claims": { "name": marker, "n": [marker] }, "authenticationProvider": link });
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
        assert!(
            !value.contains(&marker) && !format!("{:?}{}", record.headers, record.key).contains(&marker),
            "{value}"
        );
    }
}

pub async fn no_event_without_authentication_or_by_an_import(stack: &'static Stack) {
    let api = stack.tenant();
    let (answer, unauthorized) = traced(api.anonymous().list("")).await;
    answer.expect(401);
    stack.cli().run_with(&["log", "import", "-", "--tenant", &api.tenant], r#"{"claims":{"a":1}}"#).expect(0);
    let id = api.list("").await.expect(200).ids()[0].clone();
    // A write after the import. Once its SUCCESS is derived from the log, that of the import would
    // be there too.
    let (_, update) = traced(api.update(&id, json!({ "claims": {} }))).await;
    events(stack, &update).await;
    let all = all_after(stack, &api).await;
    assert!(all.iter().all(|record| record.key != unauthorized));
    let created = |record: &&Record| {
        record.json()["tenantId"] == json!(api.tenant) && record.header("ce_type").starts_with("USER_CREATE")
    };
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
    let ours: Vec<_> =
        all.iter().map(Record::json).filter(|event| event["tenantId"] == json!(api.tenant)).collect();
    let count = |name: &str| ours.iter().filter(|event| event["type"] == json!(name)).count();
    for (operation, times) in [("USER_CREATE", 1), ("USER_UPDATE", 5), ("USER_DELETE", 1)] {
        assert_eq!(count(&format!("{operation}_START")), times);
        assert_eq!(count(&format!("{operation}_SUCCESS")), times);
        assert_eq!(count(&format!("{operation}_FAIL")), 0);
    }
}
