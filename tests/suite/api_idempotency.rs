//! `Idempotency-Key`: a create that can be sent twice.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Api, Call, Stack};

fn create(api: &Api, key: &str, user: Value) -> Call {
    api.create(user).header("Idempotency-Key", key)
}

pub async fn a_repeat_gives_the_first_user(stack: &'static Stack) {
    let api = stack.tenant();
    let first = create(&api, "k-1", json!({ "claims": { "a": 1, "b": [1.0, "x"] } })).await.expect(201);
    // The same JSON with other spaces and another order of members.
    let spaced = r#"{ "claims" : { "b":[1.0,"\u0078"],"a" : 1 } }"#;
    let repeat =
        api.write(Method::POST, "").body("application/json", spaced).header("Idempotency-Key", "k-1");
    let repeat = repeat.await.expect(200);
    assert_eq!((repeat.json(), repeat.version()), (first.json(), 1));
    assert_eq!(api.list("").await.expect(200).ids(), [first.id()]);
}

pub async fn a_repeat_shows_the_user_as_it_is_now(stack: &'static Stack) {
    let api = stack.tenant();
    let id = create(&api, "k-1", json!({ "claims": { "a": 1 } })).await.expect(201).id();
    api.update(&id, json!({ "claims": { "a": 2 } })).await.expect(200);
    let repeat = create(&api, "k-1", json!({ "claims": { "a": 1 } })).await.expect(200);
    assert_eq!((repeat.version(), repeat.json()["claims"].clone()), (2, json!({ "a": 2 })));
}

pub async fn another_body_is_422(stack: &'static Stack) {
    let api = stack.tenant();
    let user = json!({ "claims": { "a": 1 }, "authenticationProvider": { "subjectId": "s" } });
    let id = create(&api, "k-1", user).await.expect(201).id();
    for other in [
        json!({}),
        json!({ "claims": { "a": 1 } }),
        json!({ "claims": { "a": 2 }, "authenticationProvider": { "subjectId": "s" } }),
    ] {
        assert_eq!(create(&api, "k-1", other).await.expect(422).json()["code"], "UnprocessableEntity");
    }
    assert_eq!(api.list("").await.expect(200).ids(), [id]);
}

pub async fn a_repeat_after_a_delete_is_409(stack: &'static Stack) {
    let api = stack.tenant();
    let id = create(&api, "k-1", json!({})).await.expect(201).id();
    api.delete(&id).await.expect(204);
    assert_eq!(create(&api, "k-1", json!({})).await.expect(409).json()["code"], "Conflict");
    api.get(&id).await.expect(404);
}

pub async fn keys_are_of_a_tenant(stack: &'static Stack) {
    let (ours, theirs) = (stack.tenant(), stack.tenant());
    let a = create(&ours, "same", json!({})).await.expect(201).id();
    let b = create(&theirs, "same", json!({ "claims": { "other": true } })).await.expect(201).id();
    assert_ne!(a, b);
    assert_ne!(create(&ours, "another", json!({})).await.expect(201).id(), a);
}

pub async fn repeats_at_once_make_one_user(stack: &'static Stack) {
    let api = stack.tenant();
    let answers = (0..8).map(|_| async { create(&api, "at-once", json!({ "claims": { "a": 1 } })).await });
    let answers = futures_util::future::join_all(answers).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    assert_eq!(api.list("").await.expect(200).ids(), [answers[0].id()]);
}
