//! Create, read, update and delete a user.

use reqwest::Method;
use serde_json::{Value, json};
use tests::Stack;
use uuid::Uuid;

fn link(subject: &str) -> Value {
    let provider = "c3e2ab9c-4b3a-4f7e-9a43-8a4a1f1f9f10";
    json!({ "providerId": provider, "url": "https://idp.example.edu", "subjectId": subject })
}

pub async fn a_created_user_reads_back(stack: &'static Stack) {
    let api = stack.tenant();
    let claims = json!({ "name": "Ada", "address": { "city": "London" } });
    let user = json!({ "claims": claims, "authenticationProvider": link("a|1") });
    let created = api.create(user.clone()).await.expect(201);
    let id = created.id();
    assert_eq!(id.parse::<Uuid>().unwrap().to_string(), id);
    assert_eq!(created.header("location"), format!("/core/v1/users/{id}"));
    assert_eq!(created.version(), 1);
    assert!(created.header("content-type").starts_with("application/json"));
    created.position();

    let mut expected = user;
    expected["id"] = json!(id);
    assert_eq!(created.json(), expected);
    let read = api.get(&id).await.expect(200);
    assert_eq!((read.json(), read.version()), (expected, 1));
}

pub async fn an_empty_user_is_a_user(stack: &'static Stack) {
    let api = stack.tenant();
    let created = api.create(json!({})).await.expect(201);
    assert_eq!(created.json(), json!({ "id": created.id(), "claims": {} }));
    assert_eq!(api.get(&created.id()).await.expect(200).json(), created.json());
}

pub async fn an_update_replaces_the_claims_and_keeps_the_link(stack: &'static Stack) {
    let api = stack.tenant();
    let user = json!({ "claims": { "a": 1, "b": 2 }, "authenticationProvider": link("b|2") });
    let id = api.create(user).await.expect(201).id();

    let updated = api.update(&id, json!({ "claims": { "c": 3 } })).await.expect(200);
    let expected = json!({ "id": id, "claims": { "c": 3 }, "authenticationProvider": link("b|2") });
    assert_eq!((updated.json(), updated.version()), (expected.clone(), 2));
    updated.position();
    let read = api.get(&id).await.expect(200);
    assert_eq!((read.json(), read.version()), (expected, 2));
}

pub async fn a_given_link_replaces_the_old_one_as_a_whole(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.create(json!({ "authenticationProvider": link("c|3") })).await.expect(201).id();
    let update = json!({ "claims": {}, "authenticationProvider": { "subjectId": "other" } });
    let updated = api.update(&id, update).await.expect(200);
    assert_eq!(updated.json()["authenticationProvider"], json!({ "subjectId": "other" }));
}

pub async fn the_body_of_a_get_can_be_put(stack: &'static Stack) {
    let api = stack.tenant();
    let user = json!({ "claims": { "a": [1, { "b": null }] }, "authenticationProvider": link("d|4") });
    let id = api.create(user).await.expect(201).id();
    let body = api.get(&id).await.expect(200).json();
    let updated = api.update(&id, body.clone()).await.expect(200);
    assert_eq!((updated.json(), updated.version()), (body.clone(), 2), "equal claims are a new version too");

    let upper = api.update(&id.to_uppercase(), body.clone()).await.expect(200);
    assert_eq!(upper.json(), body, "ids are matched whatever their case and printed in lower case");
}

pub async fn a_deleted_user_is_gone(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({ "a": 1 })).await;
    let deleted = api.delete(&id).await.expect(204);
    assert!(deleted.body.is_empty());
    deleted.position();

    let gone = json!({
        "code": "NotFound", "message": "User not found",
        "details": [{ "value": id, "msg": "Resource Not Found", "param": "id", "location": "params" }],
    });
    assert_eq!(api.get(&id).await.expect(404).json(), gone);
    assert_eq!(api.update(&id, json!({ "claims": {} })).await.expect(404).json(), gone);
    assert_eq!(api.delete(&id).await.expect(404).json(), gone);
    assert_eq!(api.credentials(&id, "").await.expect(200).json(), json!({ "data": [] }));
    assert_eq!(api.list("").await.expect(200).json(), json!({ "data": [] }));
}

pub async fn an_unknown_user_is_404_but_has_no_credentials(stack: &'static Stack) {
    let (api, id) = (stack.tenant(), Uuid::new_v4().to_string());
    api.get(&id).await.expect(404);
    api.update(&id, json!({ "claims": {} })).await.expect(404);
    api.delete(&id).await.expect(404);
    assert_eq!(api.credentials(&id, "limit=2").await.expect(200).json(), json!({ "data": [] }));
}

pub async fn pages_show_every_user_once_and_in_order(stack: &'static Stack) {
    let api = stack.tenant();
    let mut created = Vec::new();
    for n in 0..25 {
        created.push(api.user(json!({ "n": n })).await);
    }
    let whole = api.list("").await.expect(200);
    assert!(whole.next().is_none(), "the last page has no nextCursor");
    for limit in [1, 2, 7, 24, 25, 26] {
        assert_eq!(api.all(limit).await, whole.data(), "limit {limit}");
    }
    let mut ids = whole.ids();
    // Users created one after the other by one writer are in that order, except within one
    // millisecond.
    ids.sort();
    created.sort();
    assert_eq!(ids, created);
}

pub async fn a_full_last_page_ends_the_list(stack: &'static Stack) {
    let api = stack.tenant();
    for n in 0..4 {
        api.user(json!({ "n": n })).await;
    }
    let first = api.list("limit=2").await.expect(200);
    let second = api.list(&format!("limit=2&cursor={}", first.next().unwrap())).await.expect(200);
    assert_eq!((second.data().len(), second.next()), (2, None));
    assert_eq!(
        api.search(json!({ "limit": 2, "cursor": first.next() })).await.expect(200).json(),
        second.json()
    );
}

pub async fn cursors_of_a_page_are_accepted(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let short = "Y3JlYXRlZEF0PTIwMjAtMDgtMjVUMDY6NDY6MDkuNTEwWiZpZD1h";
    let long =
        "Y3JlYXRlZEF0PTIwMjAtMDgtMjVUMDY6NDY6MDkuNTEwWiZpZD1hNjZmZmVhNS04NDhlLTQzOWQtODBhNC1kZGE1NWY1M2UzNmM";
    for cursor in [short, long] {
        let query = format!("limit=2&cursor={cursor}");
        assert_eq!(api.list(&query).await.expect(200).ids(), [id.as_str()]);
        assert_eq!(api.search(json!({ "cursor": cursor })).await.expect(200).ids(), [id.as_str()]);
        api.credentials(&id, &query).await.expect(200);
    }
}

pub async fn a_cursor_outlives_its_user(stack: &'static Stack) {
    let api = stack.tenant();
    for n in 0..3 {
        api.user(json!({ "n": n })).await;
    }
    let first = api.list("limit=1").await.expect(200);
    let rest = api.list("").await.expect(200).ids()[1..].to_vec();
    api.delete(&first.ids()[0]).await.expect(204);
    assert_eq!(api.list(&format!("cursor={}", first.next().unwrap())).await.expect(200).ids(), rest);
}

pub async fn both_prefixes_are_the_same_service(stack: &'static Stack) {
    let api = stack.tenant();
    let short = api.short_paths();
    let id = short.user(json!({ "a": 1 })).await;
    assert_eq!(api.get(&id).await.expect(200).json(), short.get(&id).await.expect(200).json());
    assert_eq!(short.update(&id, json!({ "claims": { "a": 2 } })).await.expect(200).version(), 2);
    assert_eq!(short.search(json!({ "claims": { "a": 2 } })).await.expect(200).ids(), [id.as_str()]);
    assert_eq!(short.list("").await.expect(200).ids(), [id.as_str()]);
    short.credentials(&id, "").await.expect(200);
    short.delete(&id).await.expect(204);
    api.get(&id).await.expect(404);
}

pub async fn numbers_and_texts_come_back_as_sent(stack: &'static Stack) {
    let api = stack.tenant();
    let text = r#"{"claims":{"max":18446744073709551615,"min":-9223372036854775808,"big":18446744073709551616,
        "tiny":5e-324,"huge":1e300,"tenth":0.1,"one":1.0,"zero":0,"text":"ä\u00e4😀\ud83d\ude00\"\\\/\u007f","":0}}"#
        .replace(",\"\":0", "");
    let created = api.write(Method::POST, "").body("application/json", text.clone()).await.expect(201);
    let sent: Value = serde_json::from_str(&text).unwrap();
    let read = api.get(&created.id()).await.expect(200);
    assert_eq!(created.json()["claims"], read.json()["claims"]);
    for (name, value) in sent["claims"].as_object().unwrap() {
        let got = &read.json()["claims"][name];
        assert!(got == value || got.as_f64().is_some_and(|n| Some(n) == value.as_f64()), "{name}: {got}");
    }
    assert!(read.text().contains("18446744073709551615") && read.text().contains("-9223372036854775808"));
    assert!(read.body.len() < 500, "1e300 is not 301 digits: {}", read.text());
}
