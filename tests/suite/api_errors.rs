//! Errors of paths, queries and headers, with their bodies, and the order of the checks.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Stack, raw};
use uuid::Uuid;

/// Checks that an answer rejects one value.
#[track_caller]
fn refused(answer: Answer, param: &str, location: &str) -> Value {
    let answer = answer.expect(400);
    let problem = answer.json();
    assert_eq!((&problem["code"], &problem["message"]), (&json!("BadRequest"), &json!("Validation Error")));
    let detail = answer.detail();
    assert_eq!((&detail["param"], &detail["location"]), (&json!(param), &json!(location)), "{problem}");
    assert!(detail["msg"].as_str().is_some_and(|msg| !msg.is_empty()));
    detail
}

pub async fn a_limit_is_a_plain_integer(stack: &'static Stack) {
    let api = stack.tenant();
    let id = Uuid::new_v4().to_string();
    let detail = refused(api.list("limit=1001").await, "limit", "query");
    assert_eq!(
        detail,
        json!({ "value": "1001", "msg": "Invalid value", "param": "limit", "location": "query" })
    );
    for bad in [
        "0",
        "-1",
        "1.5",
        "1e2",
        "abc",
        "",
        "%201",
        "+1",
        "%2B1",
        "0x10",
        "1_0",
        "%EF%BC%91",
        "%D9%A1",
        "NaN",
        "99999999999999999999",
        "1%00",
    ] {
        refused(api.list(&format!("limit={bad}")).await, "limit", "query");
        refused(api.credentials(&id, &format!("limit={bad}")).await, "limit", "query");
    }
    for repeated in ["limit=1&limit=1", "limit=1&limit=2", "limit=1&x=y&limit="] {
        refused(api.list(repeated).await, "limit", "query");
    }
    for good in ["limit=1", "limit=1000", "limit=%31%30", "unknown=1&limit=7", "Limit=0"] {
        api.list(good).await.expect(200);
        api.credentials(&id, good).await.expect(200);
    }
    for bad in
        [json!(0), json!(1001), json!(-1), json!(1.5), json!("100"), json!(null), json!([1]), json!(true)]
    {
        refused(api.search(json!({ "limit": bad })).await, "limit", "body");
    }
    for bad in ["1e2", "1.0", "1E0", "99999999999999999999"] {
        let body = format!(r#"{{"limit":{bad}}}"#);
        refused(api.read(Method::POST, "/search").body("application/json", body).await, "limit", "body");
    }
}

/// Unpadded base64url.
fn encoded(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(text)
}

pub async fn a_cursor_must_decode_and_be_whole(stack: &'static Stack) {
    let api = stack.tenant();
    let id = Uuid::new_v4().to_string();
    let incomplete = encoded("nothing=here");
    let detail = refused(api.list(&format!("cursor={incomplete}")).await, "cursor", "query");
    assert_eq!(detail["msg"], "id and createdAt is missing");
    let day = "createdAt=2020-08-25T06:46:09.510Z";
    let bad = [
        String::new(),
        "!".into(),
        "%ff".into(),
        "a".into(),
        encoded(day),
        encoded("id=a"),
        encoded("createdAt=yesterday&id=a"),
        encoded(&format!("{day}&id=zz")),
        encoded(&format!("{day}&id=0c3fad74-a8df-4a2d-8e75-f2d356b413ba0")),
    ];
    for bad in bad {
        refused(api.list(&format!("cursor={bad}")).await, "cursor", "query");
        refused(api.credentials(&id, &format!("cursor={bad}")).await, "cursor", "query");
        refused(api.search(json!({ "cursor": bad })).await, "cursor", "body");
    }
    let good = encoded(&format!("{day}&id=a"));
    refused(api.list(&format!("cursor={good}&cursor={good}")).await, "cursor", "query");
    for bad in [json!(null), json!(1), json!({})] {
        refused(api.search(json!({ "cursor": bad })).await, "cursor", "body");
    }
    let upper = "createdAt=2020-08-25T06%3A46%3A09.510Z&id=0C3FAD74-A8DF-4A2D-8E75-F2D356B413BA&more=1";
    for tolerated in [good.clone(), encoded(upper), format!("{}%3D", encoded(&format!("{day}&id=ab")))] {
        api.list(&format!("cursor={tolerated}")).await.expect(200);
    }
}

pub async fn an_id_in_the_path_is_a_uuid(stack: &'static Stack) {
    let api = stack.tenant();
    for bad in [
        "x",
        "123",
        "0c3fad74-a8df-4a2d-8e75-f2d356b413b",
        "0c3fad74-a8df-4a2d-8e75-f2d356b413bag",
        "%00",
        "%F0%9F%98%80",
        "%27",
        "a%2Fb",
    ] {
        refused(api.get(bad).await, "id", "params");
        refused(api.update(bad, json!({ "claims": {} })).await, "id", "params");
        refused(api.delete(bad).await, "id", "params");
        refused(api.credentials(bad, "").await, "userId", "params");
    }
    let detail = refused(api.get("x").await, "id", "params");
    assert_eq!((&detail["value"], &detail["msg"]), (&json!("x"), &json!("Invalid value")));
}

pub async fn unknown_paths_are_404(stack: &'static Stack) {
    let api = stack.tenant().anonymous();
    let id = Uuid::new_v4();
    for path in [
        "/core",
        "/core/v1/userz",
        "/core/v2/users",
        "/v1/user",
        "/users",
        "/core/v1/usersx",
        "/%ff",
        "/core/v1/users%2F",
    ] {
        assert_eq!(api.path(Method::GET, path).await.expect(404).json()["code"], "NotFound", "{path}");
    }
    for method in [Method::GET, Method::POST, Method::DELETE] {
        api.path(method, &format!("/core/v1/users/{id}/nothing")).await.expect(404);
    }
}

pub async fn a_known_path_with_another_method_is_405(stack: &'static Stack) {
    let api = stack.tenant().anonymous();
    let user = format!("/{}", Uuid::new_v4());
    let credentials = format!("{user}/credentials");
    for (rest, allowed) in [
        ("", "GET POST"),
        ("/search", "POST"),
        (user.as_str(), "DELETE GET PUT"),
        (credentials.as_str(), "GET"),
    ] {
        for api in [&api, &api.short_paths()] {
            let answer = api.read(Method::PATCH, rest).await.expect(405);
            assert_eq!(answer.json()["code"], "MethodNotAllowed");
            let mut methods: Vec<&str> =
                answer.header("allow").split(", ").filter(|method| *method != "HEAD").collect();
            methods.sort_unstable();
            assert_eq!(methods.join(" "), allowed, "{rest}");
        }
    }
    api.read(Method::GET, "/search").await.expect(405);
    api.read(Method::PUT, "").await.expect(405);
    api.read(Method::POST, &user).await.expect(405);
    api.read(Method::DELETE, &credentials).await.expect(405);
}

pub async fn other_content_types_are_415(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    for bad in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "json",
        "multipart/form-data; boundary=x",
    ] {
        let calls = [
            api.write(Method::POST, ""),
            api.write(Method::PUT, &format!("/{id}")),
            api.read(Method::POST, "/search"),
        ];
        for call in calls {
            let answer = call.body(bad, r#"{"claims":{}}"#).await.expect(415);
            assert_eq!(answer.json()["code"], "UnsupportedMediaType", "{bad}");
        }
    }
    for good in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        api.read(Method::POST, "/search").body(good, "{}").await.expect(200);
    }
}

pub async fn checks_come_in_their_order(stack: &'static Stack) {
    let api = stack.tenant();
    let nobody = api.anonymous();
    let reader = api.with_token(&stack.signer().with(&api.tenant, |claims| {
        claims.insert("scope".into(), json!("users:read"));
    }));
    let id = Uuid::new_v4().to_string();
    let huge = "x".repeat(300 * 1024);
    let put = |api: &Api, rest: &str| api.write(Method::PUT, rest);
    nobody.path(Method::PATCH, "/core/v1/nowhere").await.expect(404);
    nobody.read(Method::PATCH, "/x").await.expect(405);
    put(&nobody, "/x").body("text/plain", "no").await.expect(401);
    put(&reader, "/x").body("text/plain", "no").await.expect(403);
    put(&reader, "/x").body("application/json", huge.clone()).await.expect(403);
    put(&api, "/x").body("application/json", huge).await.expect(413);
    put(&api, "/x").body("text/plain", "no").await.expect(415);
    put(&api, &format!("/{id}")).body("application/json", "no").await.expect(400);
    put(&api, &format!("/{id}")).json(&json!({ "claims": {} })).header("If-Match", "bare").await.expect(400);
    put(&api, &format!("/{id}")).json(&json!({ "claims": {} })).header("If-Match", "\"1\"").await.expect(404);
    reader.create(json!({})).await.expect(403);
    api.list("limit=0").header("Read-After", "0:9000000000000000000").await.expect(400);
}

pub async fn request_ids_are_accepted_or_created_and_echoed(stack: &'static Stack) {
    let api = stack.tenant();
    let long = "x".repeat(128);
    for sane in ["a", "A-z_0.9", long.as_str()] {
        assert_eq!(api.list("").header("X-Request-Id", sane).await.expect(200).header("x-request-id"), sane);
    }
    let too_long = "x".repeat(129);
    for strange in ["", "a b", "a/b", "<script>", too_long.as_str()] {
        let made = api.list("").header("X-Request-Id", strange).await.expect(200);
        let made = made.header("x-request-id");
        assert!(made != strange && (1..=128).contains(&made.len()), "{made}");
    }
    let on_errors = api.anonymous().list("").header("X-Request-Id", "mine").await.expect(401);
    assert_eq!(on_errors.header("x-request-id"), "mine");
    let nowhere = api.path(Method::GET, "/nowhere").header("X-Request-Id", "mine").await.expect(404);
    assert_eq!(nowhere.header("x-request-id"), "mine");
}

pub async fn hostile_requests_are_refused_and_nothing_breaks(stack: &'static Stack) {
    let api = stack.tenant();
    let token = api.token.clone().unwrap();
    let head = |line: &str, more: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        )
    };
    let long = "a".repeat(20_000);
    let requests = [
        head("GET /%00", ""),
        head("GET /core/v1/users/%00", ""),
        head("GET /core/v1/users/%2e%2e/%2e%2e/etc/passwd", ""),
        head("GET /core/v1/users/../../etc/passwd", ""),
        head("GET /core/v1/users?limit=%zz&cursor=%", ""),
        head("GET /core/v1/users?%00=%ff", ""),
        head(&format!("GET /core/v1/users?cursor={long}"), ""),
        head(&format!("GET /core/v1/users/{long}"), ""),
        head("GET /core/v1/users", &format!("X-Request-Id: {long}\r\n")),
        head("GET /core/v1/users", "Read-After: \u{e4}\u{2713}\r\n"),
        head("GET /core/v1/users", "If-None-Match: \u{7f}\r\n"),
        head("GET /core/v1/users", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        head("POST /core/v1/users", "Content-Type: application/json\r\nContent-Length: -1\r\n"),
        head(
            "POST /core/v1/users",
            "Content-Type: application/json\r\nContent-Length: 99999999999999999999999\r\n",
        ),
        head("POST /core/v1/users", "Content-Length: 0\r\nIdempotency-Key: \u{7f}\u{e4}\r\n"),
        head("POST /core/v1/users", "Content-Type: application/json\r\nContent-Length: 9999999999\r\n"),
        head("BREW /core/v1/users", ""),
        head("OPTIONS *", ""),
        format!("GET /core/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {long}\r\n\r\n"),
        "GET /core/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \u{e4}.\u{e4}.\u{e4}\r\n\r\n"
            .to_owned(),
        "GET /core/v1/users HTTP/9.9\r\n\r\n".to_owned(),
        "not http at all\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let status = raw(api.authority(), request.as_bytes()).await;
        assert!(
            status.is_none_or(|status| status < 500),
            "{status:?} to {}",
            &request[..request.len().min(200)]
        );
    }
    api.list("").await.expect(200);
}
