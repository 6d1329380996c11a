//! The texts and forms of the API reference, word for word.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tests::{Answer, Stack};
use uuid::Uuid;

/// A complete validation error about one value.
#[track_caller]
fn is_refused(answer: Answer, detail: Value) {
    let documented = json!({ "code": "BadRequest", "message": "Validation Error", "details": [detail] });
    assert_eq!(answer.expect(400).json(), documented);
}

pub async fn errors_have_the_documented_texts(stack: &'static Stack) {
    let (api, unknown) = (stack.tenant(), Uuid::new_v4().to_string());
    let invalid = |value: &str, param: &str, location: &str| json!({ "value": value, "msg": "Invalid value", "param": param, "location": location });
    is_refused(api.list("limit=1001").await, invalid("1001", "limit", "query"));
    is_refused(api.credentials(&unknown, "limit=1001").await, invalid("1001", "limit", "query"));
    for answer in [api.get("x").await, api.update("x", json!({ "claims": {} })).await, api.delete("x").await]
    {
        is_refused(answer, invalid("x", "id", "params"));
    }
    is_refused(api.credentials("x", "").await, invalid("x", "userId", "params"));

    let not_found = json!({ "code": "NotFound", "message": "User not found", "details": [
        { "value": unknown, "msg": "Resource Not Found", "param": "id", "location": "params" }] });
    for answer in [
        api.get(&unknown).await,
        api.update(&unknown, json!({ "claims": {} })).await,
        api.delete(&unknown).await,
    ] {
        assert_eq!(answer.expect(404).json(), not_found);
    }
    assert_eq!(api.credentials(&unknown, "").await.expect(200).json(), json!({ "data": [] }));

    let refused = api.anonymous().get(&unknown).await.expect(401);
    assert_eq!(refused.json()["code"], "Unauthorized");
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
}

pub async fn a_cursor_that_lacks_a_part_has_the_documented_text(stack: &'static Stack) {
    let (api, user) = (stack.tenant(), Uuid::new_v4().to_string());
    for incomplete in ["nothing=here", "createdAt=2020-08-25T06:46:09.510Z", "id=a", "id=&createdAt="] {
        let cursor = URL_SAFE_NO_PAD.encode(incomplete);
        let detail = |location: &str| {
            let msg = "id and createdAt is missing";
            json!({ "value": cursor, "msg": msg, "param": "cursor", "location": location })
        };
        is_refused(api.list(&format!("cursor={cursor}")).await, detail("query"));
        is_refused(api.credentials(&user, &format!("cursor={cursor}")).await, detail("query"));
        is_refused(api.search(json!({ "cursor": cursor })).await, detail("body"));
    }
    is_refused(
        api.list("cursor=!").await,
        json!({ "value": "!", "msg": "Invalid value", "param": "cursor", "location": "query" }),
    );
}
