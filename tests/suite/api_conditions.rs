//! `ETag` and conditional requests.

use serde_json::json;
use tests::Stack;
use uuid::Uuid;

pub async fn if_none_match_spares_the_body(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    for tags in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        let same = api.get(&id).header("If-None-Match", tags).await.expect(304);
        assert!(same.body.is_empty());
        assert_eq!(same.version(), 1, "a 304 carries the tag too");
    }
    api.get(&id).header("If-None-Match", "\"2\"").await.expect(200);
    api.update(&id, json!({ "claims": {} })).await.expect(200);
    assert_eq!(api.get(&id).header("If-None-Match", "\"1\"").await.expect(200).version(), 2);
    api.get(&Uuid::new_v4().to_string()).header("If-None-Match", "*").await.expect(404);
}

pub async fn if_match_guards_an_update(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({ "n": 1 })).await;
    let put = |tags: &'static str| api.update(&id, json!({ "claims": { "n": 2 } })).header("If-Match", tags);
    for stale in ["\"2\"", "\"0\"", "W/\"1\"", "\"x\""] {
        assert_eq!(put(stale).await.expect(412).json()["code"], "PreconditionFailed", "{stale}");
    }
    assert_eq!(api.get(&id).await.expect(200).version(), 1, "a rejected update changes nothing");
    assert_eq!(put("\"1\"").await.expect(200).version(), 2);
    put("\"1\"").await.expect(412);
    assert_eq!(put("\"9\", \"2\"").await.expect(200).version(), 3);
    assert_eq!(put("*").await.expect(200).version(), 4);
}

pub async fn if_match_guards_a_delete(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    api.delete(&id).header("If-Match", "\"2\"").await.expect(412);
    api.get(&id).await.expect(200);
    api.delete(&id).header("If-Match", "\"1\"").await.expect(204);
}

pub async fn if_match_on_a_user_that_is_gone_is_404(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    api.delete(&id).await.expect(204);
    for id in [id, Uuid::new_v4().to_string()] {
        api.update(&id, json!({ "claims": {} })).header("If-Match", "\"1\"").await.expect(404);
        api.delete(&id).header("If-Match", "\"1\"").await.expect(404);
    }
}

pub async fn an_unquoted_tag_is_400(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    for call in [api.update(&id, json!({ "claims": {} })), api.delete(&id)] {
        let detail = call.header("If-Match", "1").await.expect(400).detail();
        assert_eq!(detail["location"], "headers");
        assert_eq!(detail["param"].as_str().unwrap().to_lowercase(), "if-match");
    }
    api.get(&id).await.expect(200);
}

pub async fn if_none_match_guards_a_write(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({ "n": 1 })).await;
    let put = |id: &str, tags: &'static str| {
        api.update(id, json!({ "claims": { "n": 2 } })).header("If-None-Match", tags)
    };
    for named in ["*", "\"1\"", "W/\"1\"", "\"7\", \"1\""] {
        assert_eq!(put(&id, named).await.expect(412).json()["code"], "PreconditionFailed", "{named}");
        api.delete(&id).header("If-None-Match", named).await.expect(412);
    }
    assert_eq!(api.get(&id).await.expect(200).version(), 1, "a rejected write changes nothing");
    for call in [put(&id, "1"), api.delete(&id).header("If-None-Match", "1")] {
        let detail = call.await.expect(400).detail();
        assert_eq!((&detail["param"], &detail["location"]), (&json!("If-None-Match"), &json!("headers")));
    }
    assert_eq!(put(&id, "\"7\"").await.expect(200).version(), 2);
    put(&id, "\"1\"").header("If-Match", "\"1\"").await.expect(412);
    put(&id, "\"2\"").header("If-Match", "\"2\"").await.expect(412);
    assert_eq!(put(&id, "\"1\"").header("If-Match", "\"2\"").await.expect(200).version(), 3);
    let unknown = Uuid::new_v4().to_string();
    put(&unknown, "*").await.expect(404);
    api.delete(&unknown).header("If-None-Match", "*").await.expect(404);
    api.delete(&id).header("If-None-Match", "\"1\"").await.expect(204);
    put(&id, "*").await.expect(404);
    api.create(json!({})).header("If-None-Match", "*").header("If-Match", "\"9\"").await.expect(201);
}

pub async fn if_match_guards_a_read(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    for good in ["*", "\"1\"", "\"7\", \"1\""] {
        api.get(&id).header("If-Match", good).await.expect(200);
    }
    for stale in ["\"2\"", "W/\"1\""] {
        let refused = api.get(&id).header("If-Match", stale).await.expect(412);
        assert_eq!(refused.json()["code"], "PreconditionFailed");
    }
    api.get(&id).header("If-Match", "\"1\"").header("If-None-Match", "\"1\"").await.expect(304);
    api.get(&Uuid::new_v4().to_string()).header("If-Match", "*").await.expect(404);
}

/// Concurrent writers with `If-Match: *` all succeed, one after the other.
pub async fn updates_of_any_version_never_conflict(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let writers = (0..6).map(|n| {
        let put = api.update(&id, json!({ "claims": { "n": n } })).header("If-Match", "*");
        async { put.await.status }
    });
    let statuses = futures_util::future::join_all(writers).await;
    assert!(statuses.iter().all(|status| matches!(status, 200 | 202)), "{statuses:?}");
    assert_eq!(api.get(&id).await.expect(200).version(), 7);
}

pub async fn one_of_many_conditional_updates_wins(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let writers = (0..8).map(|n| {
        let put = api.update(&id, json!({ "claims": { "n": n } })).header("If-Match", "\"1\"");
        async { put.await.status }
    });
    let mut statuses = futures_util::future::join_all(writers).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
    assert_eq!(api.get(&id).await.expect(200).version(), 2);
}

pub async fn unconditional_updates_are_never_lost(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let writers = (0..6).map(|n| {
        let put = api.update(&id, json!({ "claims": { "n": n } }));
        async move { (n, put.await) }
    });
    let answers = futures_util::future::join_all(writers).await;
    let mut versions = Vec::new();
    for (n, answer) in answers.into_iter().filter(|(_, answer)| answer.status != 409) {
        let answer = answer.expect(200);
        assert_eq!(answer.json()["claims"], json!({ "n": n }), "an answer shows its own accepted event");
        versions.push(answer.version());
    }
    versions.sort_unstable();
    assert_eq!(
        versions,
        (2..2 + versions.len() as u64).collect::<Vec<_>>(),
        "each accepted update is a version of its own"
    );
    assert_eq!(api.get(&id).await.expect(200).version(), 1 + versions.len() as u64);
}
