//! What browsers are told: which origins may call, and which headers their pages may read.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, Api, Call, Deployment, RedisServer, Stack};
use uuid::Uuid;

const ORIGIN: &str = "https://app.example";
const OTHER: &str = "https://app.example.evil.example";

/// What a browser asks before a page of an origin may send a PUT.
async fn preflight(api: &Api, origin: &str) -> Answer {
    let call = api.write(Method::OPTIONS, &format!("/{}", Uuid::new_v4()));
    call.header("Origin", origin).header("Access-Control-Request-Method", "PUT").await
}

/// Every kind of answer: success and errors, of both services.
fn calls(api: &Api) -> Vec<(Call, u16)> {
    let unknown = Uuid::new_v4().to_string();
    vec![
        (api.create(json!({})), 201),
        (api.list("limit=1"), 200),
        (api.list("limit=0"), 400),
        (api.anonymous().list(""), 401),
        (api.get(&unknown), 404),
        (api.write(Method::PATCH, &format!("/{unknown}")), 405),
        (api.path(Method::GET, "/nowhere"), 404),
        (api.path(Method::GET, "/%zz"), 404),
        (api.path(Method::GET, "/openapi.json"), 200),
    ]
}

fn permission(answer: &Answer) -> Option<&str> {
    answer.find("access-control-allow-origin")
}

pub async fn only_allowed_origins_may_call(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let settings = [("ROLLCALL_CORS_ORIGINS", "https://app.example,http://localhost:3000")];
    let deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
    let api = deployment.tenant();
    let asked = preflight(&api, ORIGIN).await.expect(204);
    assert_eq!(permission(&asked), Some(ORIGIN));
    assert!(asked.header("access-control-allow-methods").contains("PUT"));
    assert!(asked.header("access-control-allow-headers").contains("If-Match"));
    let refused = preflight(&api, OTHER).await.expect(405);
    assert_eq!((permission(&refused), refused.header("vary")), (None, "Origin"));
    for (origin, allowed) in [(ORIGIN, Some(ORIGIN)), (OTHER, None), ("null", None)] {
        for (call, status) in calls(&api) {
            let answer = call.header("Origin", origin).await.expect(status);
            assert_eq!((permission(&answer), answer.header("vary")), (allowed, "Origin"), "{answer:?}");
            let readable = answer.find("access-control-expose-headers");
            assert_eq!(readable.is_some_and(|names| names.contains("Log-Position")), allowed.is_some());
        }
    }
    assert_eq!(permission(&api.list("").await.expect(200)), None, "a call that is not of a page");
}

pub async fn without_the_setting_no_origin_may_call(stack: &'static Stack) {
    let api = stack.tenant();
    assert_eq!(permission(&preflight(&api, ORIGIN).await.expect(405)), None);
    for (call, status) in calls(&api) {
        let answer = call.header("Origin", ORIGIN).await.expect(status);
        let told = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!((told, answer.find("vary")), (None, None), "{answer:?}");
    }
}
