//! Request bodies: forms, sizes and corner cases of JSON.

use reqwest::Method;
use serde_json::{Map, Value, json};
use tests::{Answer, Api, Stack};

const JSON: &str = "application/json";
/// A claim's value, which no error may show.
const SECRET: &str = "s3cr3t-marker";
const KIB: usize = 1024;

/// Sends a text as the body of create, update and search. Each must reject the body.
async fn refused_everywhere(api: &Api, id: &str, text: impl Into<Vec<u8>>) -> Vec<Value> {
    let text = text.into();
    let mut details = Vec::new();
    let calls = [
        api.write(Method::POST, ""),
        api.write(Method::PUT, &format!("/{id}")),
        api.read(Method::POST, "/search"),
    ];
    for call in calls {
        details.push(refused(call.body(JSON, text.clone()).await, &text));
    }
    details
}

#[track_caller]
fn refused(answer: Answer, sent: &[u8]) -> Value {
    let sent = String::from_utf8_lossy(&sent[..sent.len().min(200)]).into_owned();
    assert_eq!(answer.status, 400, "{sent}: {}", answer.text());
    assert!(!answer.text().contains(SECRET), "a claim's value was echoed: {}", answer.text());
    let problem = answer.json();
    assert_eq!(
        (&problem["code"], &problem["message"]),
        (&json!("BadRequest"), &json!("Validation Error")),
        "{sent}"
    );
    let detail = answer.detail();
    assert_eq!(detail["location"], "body", "{sent}: {problem}");
    detail
}

pub async fn a_body_is_json(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    for text in [
        "",
        " ",
        "{",
        "{}}",
        "{\"claims\":{},}",
        "{'claims':{}}",
        "nope",
        "{\"claims\":{\"a\":01}}",
        "{\"claims\":{\"a\":+1}}",
        "{\"claims\":{\"a\":.5}}",
        "{\"claims\":{\"a\":NaN}}",
        "{\"claims\":{\"a\":Infinity}}",
        "{\"claims\":{\"a\":\"\n\"}}",
        "{\"claims\":{\"a\":\"\\x\"}}",
        "{} {}",
        "/*c*/{}",
        "\u{feff}{}",
    ] {
        refused_everywhere(&api, &id, text).await;
    }
    refused_everywhere(&api, &id, b"{\"claims\":{\"a\":\"\xff\"}}".to_vec()).await;
    refused_everywhere(&api, &id, b"{\"claims\":{\"a\":\"\xed\xa0\x80\"}}".to_vec()).await;
}

pub async fn a_body_is_an_object_of_the_right_shape(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    for body in [
        json!(null),
        json!([]),
        json!("x"),
        json!(1),
        json!(true),
        json!({ "claims": null }),
        json!({ "claims": [] }),
        json!({ "claims": "x" }),
        json!({ "claims": 1 }),
        json!({ "claims": {}, "authenticationProvider": null }),
        json!({ "claims": {}, "authenticationProvider": [] }),
        json!({ "claims": {}, "authenticationProvider": { "subjectId": null } }),
        json!({ "claims": {}, "authenticationProvider": { "subjectId": 1 } }),
        json!({ "claims": {}, "authenticationProvider": { "subjectId": "s", "url": null } }),
        json!({ "claims": {}, "authenticationProvider": { "subjectId": "s", "url": 1 } }),
        json!({ "claims": {}, "authenticationProvider": { "subjectId": "s", "providerId": "no uuid" } }),
        json!({ "claims": {}, "authenticationProvider": { "subjectId": "s", "providerId": null } }),
        json!({ "claims": {}, "authenticationProvider": { "subjectId": "s", "unknown": 1 } }),
        json!({ "claims": {}, "unknown": 1 }),
        json!({ "claims": {}, "Claims": {} }),
    ] {
        refused_everywhere(&api, &id, body.to_string()).await;
    }
    for body in [
        json!({ "claims": {}, "authenticationProvider": {} }),
        json!({ "claims": {}, "authenticationProvider": { "url": "https://x" } }),
    ] {
        refused(api.create(body.clone()).await, b"a link without a subject");
        refused(api.update(&id, body.clone()).await, b"a link without a subject");
        api.search(body).await.expect(200);
    }
    refused(api.update(&id, json!({})).await, b"an update without claims");
    refused(api.create(json!({ "id": id, "claims": {} })).await, b"a create with an id");
    refused(api.search(json!({ "id": id })).await, b"a search by id");
    for bad in [json!(null), json!("x"), json!(1), json!("0c3fad74-a8df-4a2d-8e75-f2d356b413ba")] {
        refused(api.update(&id, json!({ "id": bad, "claims": {} })).await, b"another id in an update");
    }
    api.update(&id, json!({ "id": id.to_uppercase(), "claims": {} })).await.expect(200);
}

pub async fn errors_name_the_place_and_never_the_value(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let inside = |claim: &str| format!(r#"{{"claims":{{"outer":{{"inner":{claim}}},"secret":"{SECRET}"}}}}"#);
    for claim in [
        r#"{"x":1,"x":2}"#,
        r#""a\u0000b""#,
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud83d x""#,
        r#"{"k\u0000":1}"#,
        r#"{"\ud800":1}"#,
        "1e400",
        "-1e400",
        "1e-400",
        "-1e-400",
        "1e999999999999",
        "[1,[1e400]]",
        r#"{"":1}"#,
    ] {
        for detail in refused_everywhere(&api, &id, inside(claim)).await {
            let param = detail["param"].as_str().unwrap();
            assert!(
                param.contains("claims") && param.contains("outer") && param.contains("inner"),
                "{claim}: {detail}"
            );
            assert!(detail.get("value").is_none(), "{detail}");
        }
    }
    let twice = format!(r#"{{"claims":{{"a":"{SECRET}"}},"claims":{{}}}}"#);
    refused_everywhere(&api, &id, twice).await;
    for part in ["subjectId", "url"] {
        let nul = json!({ "claims": {}, "authenticationProvider": { "subjectId": "s", part: format!("{SECRET}\0") } });
        refused_everywhere(&api, &id, nul.to_string()).await;
    }
}

/// The details of a 400: `param` and `msg` of each.
#[track_caller]
fn details(answer: Answer) -> Vec<(String, String)> {
    let problem = answer.expect(400).json();
    let text = |detail: &Value, name: &str| detail[name].as_str().unwrap().to_owned();
    let details = problem["details"].as_array().unwrap();
    details.iter().map(|detail| (text(detail, "param"), text(detail, "msg"))).collect()
}

pub async fn everything_that_is_wrong_is_named_at_once(stack: &'static Stack) {
    let api = stack.tenant();
    let body = json!({
        "id": "x", "name": "Ada", "claims": { "": 1 },
        "authenticationProvider": { "providerId": "x", "url": "x", "subject": "x" },
    });
    let wanted = [
        ("name", "Unknown field"),
        ("id", "Must be a uuid"),
        ("claims.", "A key has 1 to 256 characters"),
        ("authenticationProvider.subject", "Unknown field"),
        ("authenticationProvider.subjectId", "Is required"),
        ("authenticationProvider.providerId", "Must be a uuid"),
        ("authenticationProvider.url", "Must be an absolute http or https URL"),
    ];
    let wanted = wanted.map(|(param, msg)| (param.to_owned(), msg.to_owned()));
    let header = ("If-Match".to_owned(), "Must be * or a list of quoted entity tags".to_owned());
    let path = ("id".to_owned(), "Invalid value".to_owned());
    let update = api.update("x", body.clone()).header("If-Match", "1").await;
    assert_eq!(details(update), [&[path.clone()][..], &wanted, &[header.clone()]].concat());
    assert_eq!(details(api.delete("x").header("If-Match", "1").await), [path, header]);

    let limit = api.search(json!({ "limit": 1001, "claims": [], "x": 1 })).await;
    assert_eq!(limit.json()["details"][1]["value"], "1001");
    let wanted = [
        ("x", "Unknown field"),
        ("limit", "Must be an integer from 1 to 1000"),
        ("claims", "Must be an object"),
    ];
    assert_eq!(details(limit), wanted.map(|(param, msg)| (param.to_owned(), msg.to_owned())));

    let many: Map<_, _> = (0..100).map(|n| (n.to_string(), json!(1))).collect();
    for answer in [api.create(json!(many)).await, api.search(json!(many)).await] {
        assert_eq!(details(answer).len(), 20);
    }
}

/// An object with that many levels.
fn nested(levels: usize, innermost: Value) -> Value {
    (1..levels).fold(json!({ "x": innermost }), |inner, _| json!({ "x": inner }))
}

fn wide(members: usize) -> Value {
    (0..members).map(|n| (format!("k{n}"), json!(n))).collect::<Map<_, _>>().into()
}

pub async fn claims_have_limits_of_depth_number_and_name(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let keyed = |key: String| json!({ key: 1 });
    let good = [
        nested(32, json!(1)),
        nested(31, json!([1])),
        nested(31, json!({})),
        wide(1000),
        json!({ "a": wide(998), "b": 1 }),
        json!({ "a": [{ "b": 1 }, wide(998)] }),
        keyed("k".repeat(256)),
        keyed("😀".repeat(256)),
        keyed("é".to_owned()),
        json!({ "a.b": 1, "a/b": 2, " ": 3, "__proto__": 4 }),
    ];
    for claims in good {
        let created = api.create(json!({ "claims": claims })).await.expect(201);
        assert_eq!(api.get(&created.id()).await.expect(200).json()["claims"], claims);
        api.update(&id, json!({ "claims": claims })).await.expect(200);
        assert!(api.search(json!({ "claims": claims })).await.expect(200).ids().contains(&created.id()));
    }
    let bad = [
        nested(33, json!(1)),
        nested(32, json!([])),
        nested(32, json!({})),
        nested(100, json!(1)),
        wide(1001),
        json!({ "a": wide(1000) }),
        json!({ "a": [wide(500), wide(500)] }),
        keyed("k".repeat(257)),
        keyed("😀".repeat(257)),
        keyed(String::new()),
        json!({ "a": [{ "": 1 }] }),
    ];
    for claims in bad {
        refused_everywhere(&api, &id, json!({ "claims": claims }).to_string()).await;
    }
    let deep = format!(r#"{{"claims":{}{}}}"#, r#"{"x":"#.repeat(100_000 / 8), "}".repeat(100_000 / 8));
    refused_everywhere(&api, &id, deep).await;
}

/// A body with exactly that many bytes.
fn sized(bytes: usize) -> String {
    let empty = r#"{"claims":{"x":""}}"#.len();
    format!(r#"{{"claims":{{"x":"{}"}}}}"#, "x".repeat(bytes - empty))
}

#[track_caller]
fn too_large(answer: Answer) {
    assert_eq!(answer.expect(413).json()["code"], "PayloadTooLarge");
}

pub async fn a_body_has_a_largest_size(stack: &'static Stack) {
    let api = stack.tenant();
    let post = |body: String| api.write(Method::POST, "").body(JSON, body);
    let search = |body: String| api.read(Method::POST, "/search").body(JSON, body);
    let id = post(sized(256 * KIB)).await.expect(201).id();
    let put = |body: String| api.write(Method::PUT, &format!("/{id}")).body(JSON, body);
    too_large(post(sized(256 * KIB + 1)).await);
    too_large(search(sized(256 * KIB + 1)).await);
    too_large(put(sized(257 * KIB + 1)).await);
    search(sized(256 * KIB)).await.expect(200);
    assert_eq!(
        put(api.get(&id).await.expect(200).text().to_owned()).await.expect(200).version(),
        2,
        "what GET gave fits a PUT"
    );
    too_large(put(sized(257 * KIB)).await.expect(413));
}

pub async fn a_representation_has_a_largest_size(stack: &'static Stack) {
    let api = stack.tenant();
    let link = json!({ "subjectId": "s".repeat(4 * KIB) });
    let id = api.create(json!({ "authenticationProvider": link })).await.expect(201).id();
    let claims = |bytes: usize| json!({ "claims": { "x": "x".repeat(bytes) } });
    too_large(api.update(&id, claims(254 * KIB)).await);
    let largest = api.update(&id, claims(252 * KIB)).await.expect(200);
    assert!(largest.body.len() <= 257 * KIB);
    api.update(&id, largest.json()).await.expect(200);
}

pub async fn a_page_of_huge_users_is_cut(stack: &'static Stack) {
    let api = stack.tenant();
    for n in 0..40 {
        api.user(json!({ "n": n, "x": "x".repeat(250 * KIB) })).await;
        api.user(json!({})).await;
    }
    let page = api.list("limit=1000").await.expect(200);
    assert!(page.body.len() < 9 * KIB * KIB && page.next().is_some(), "{} bytes", page.body.len());
    // Pages of some users are cut, and pages of few are not.
    for limit in [1000, 50, 5] {
        let users = api.all(limit).await;
        let numbers: Vec<_> = users.iter().filter_map(|user| user["claims"]["n"].as_u64()).collect();
        assert_eq!((users.len(), numbers), (80, (0..40).collect()), "{limit}");
    }
}
