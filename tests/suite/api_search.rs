//! Search: criteria are combined, and containment is that of PostgreSQL.

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    strategy::ValueTree,
    test_runner::TestRunner,
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tests::{Api, Stack};

/// The name claims of the users that match `criteria`, in order.
async fn found(api: &Api, criteria: Value) -> Vec<String> {
    let page = api.search(criteria).await.expect(200);
    page.data().iter().map(|user| user["claims"]["name"].as_str().unwrap().to_owned()).collect()
}

async fn named(api: &Api, users: impl IntoIterator<Item = (&str, Value)>) {
    for (name, mut user) in users {
        user["claims"]["name"] = json!(name);
        api.create(user).await.expect(201);
    }
}

pub async fn claims_are_matched_by_containment(stack: &'static Stack) {
    let api = stack.tenant();
    let users = [
        (
            "ada",
            json!({ "claims": {
                "address": { "city": "London", "zip": "N1" },
                "roles": ["admin", { "of": "x", "since": 1 }],
            } }),
        ),
        ("bob", json!({ "claims": { "address": { "city": "London" }, "roles": ["user"], "n": 1 } })),
        ("cid", json!({ "claims": { "address": "London", "roles": [], "n": 1.0, "ok": null } })),
        (
            "dan",
            json!({ "claims": { "address": { "city": "london" }, "roles": "admin", "n": "1", "ok": false } }),
        ),
    ];
    named(&api, users).await;
    for (claims, names) in [
        (json!({}), vec!["ada", "bob", "cid", "dan"]),
        (json!({ "name": "bob" }), vec!["bob"]),
        (json!({ "address": { "city": "London" } }), vec!["ada", "bob"]),
        (json!({ "address": { "city": "London", "zip": "N1" } }), vec!["ada"]),
        (json!({ "address": {} }), vec!["ada", "bob", "dan"]),
        (json!({ "address": "London" }), vec!["cid"]),
        (json!({ "address": { "city": "Lond" } }), vec![]),
        (json!({ "roles": [] }), vec!["ada", "bob", "cid"]),
        (json!({ "roles": ["admin"] }), vec!["ada"]),
        (json!({ "roles": "admin" }), vec!["dan"]),
        (json!({ "roles": [{ "of": "x" }] }), vec!["ada"]),
        (json!({ "roles": ["admin", "admin"] }), vec!["ada"]),
        (json!({ "n": 1 }), vec!["bob", "cid"]),
        (json!({ "n": "1" }), vec!["dan"]),
        (json!({ "ok": null }), vec!["cid"]),
        (json!({ "ok": false }), vec!["dan"]),
        (json!({ "nothing": 1 }), vec![]),
    ] {
        assert_eq!(found(&api, json!({ "claims": claims })).await, names, "{claims}");
    }
}

pub async fn numbers_are_compared_by_value(stack: &'static Stack) {
    let api = stack.tenant();
    for (name, number) in
        [("a", "1"), ("b", "1.0"), ("c", "1e0"), ("d", "10e-1"), ("e", "2"), ("f", "18446744073709551615")]
    {
        let body = format!(r#"{{"claims":{{"name":"{name}","n":{number}}}}}"#);
        api.write(Method::POST, "").body("application/json", body).await.expect(201);
    }
    let by = async |number: &str| {
        let body = format!(r#"{{"claims":{{"n":{number}}}}}"#);
        let page = api.read(Method::POST, "/search").body("application/json", body).await.expect(200);
        page.data().iter().map(|user| user["claims"]["name"].as_str().unwrap().to_owned()).collect::<String>()
    };
    for same in ["1", "1.0", "1e0", "0.1e1", "100e-2"] {
        assert_eq!(by(same).await, "abcd", "{same}");
    }
    assert_eq!(by("2.0").await, "e");
    assert_eq!(by("18446744073709551615").await, "f");
    assert_eq!(by("18446744073709551614").await, "");
}

pub async fn texts_are_matched_exactly(stack: &'static Stack) {
    let api = stack.tenant();
    let texts = [
        "Ünïcødé 😀",
        "unicode",
        "Unicode",
        " unicode",
        "e\u{301}",
        "\u{e9}",
        "",
        "%",
        "\"quoted\\\"",
        "'; --",
    ];
    for text in texts {
        api.user(json!({ "text": text })).await;
    }
    for text in texts {
        let page = api.search(json!({ "claims": { "text": text } })).await.expect(200);
        assert_eq!(page.data().len(), 1, "{text:?}");
        assert_eq!(page.data()[0]["claims"]["text"], text);
    }
}

pub async fn the_link_is_matched_by_any_of_its_parts(stack: &'static Stack) {
    let api = stack.tenant();
    let (p, q) = ("0b5e6f1c-58f1-4b0c-8f0f-4f2c0c7e9a01", "0b5e6f1c-58f1-4b0c-8f0f-4f2c0c7e9a02");
    let (x, y) = ("https://x.example", "https://y.example");
    let link = |provider: &str, url: &str, subject: &str| {
        let link = json!({ "providerId": provider, "url": url, "subjectId": subject });
        json!({ "claims": { "k": 1 }, "authenticationProvider": link })
    };
    let bare = json!({ "claims": { "k": 2 }, "authenticationProvider": { "subjectId": "1" } });
    named(
        &api,
        [
            ("a", link(p, x, "1")),
            ("b", link(p, y, "2")),
            ("c", link(q, x, "1")),
            ("d", bare),
            ("e", json!({ "claims": {} })),
        ],
    )
    .await;
    for (criteria, names) in [
        (json!({}), vec!["a", "b", "c", "d", "e"]),
        (json!({ "subjectId": "1" }), vec!["a", "c", "d"]),
        (json!({ "providerId": p }), vec!["a", "b"]),
        (json!({ "providerId": p.to_uppercase() }), vec!["a", "b"]),
        (json!({ "url": x }), vec!["a", "c"]),
        (json!({ "providerId": p, "subjectId": "1" }), vec!["a"]),
        (json!({ "url": x, "subjectId": "1" }), vec!["a", "c"]),
        (json!({ "providerId": q, "url": x, "subjectId": "1" }), vec!["c"]),
        (json!({ "providerId": q, "url": y }), vec![]),
        (json!({ "subjectId": "1 " }), vec![]),
    ] {
        assert_eq!(found(&api, json!({ "authenticationProvider": criteria })).await, names, "{criteria}");
    }
    let both = json!({ "claims": { "k": 1 }, "authenticationProvider": { "subjectId": "1" } });
    assert_eq!(found(&api, both).await, ["a", "c"]);
}

pub async fn a_long_link_is_found(stack: &'static Stack) {
    let api = stack.tenant();
    let subject = |end: &str| format!("{}{end}", "s".repeat(20_000));
    let url = |end: &str| format!("https://idp.example/{}", subject(end));
    for end in ["a", "b"] {
        api.create(json!({ "authenticationProvider": { "subjectId": subject(end), "url": url(end) } }))
            .await
            .expect(201);
    }
    for criteria in [json!({ "subjectId": subject("b") }), json!({ "url": url("b") })] {
        let page = api.search(json!({ "authenticationProvider": criteria })).await.expect(200);
        assert_eq!(page.data().len(), 1);
    }
}

pub async fn found_users_come_in_pages(stack: &'static Stack) {
    let api = stack.tenant();
    for n in 0..21 {
        api.user(json!({ "n": n, "third": n % 3 })).await;
    }
    let all = api.list("").await.expect(200).data();
    for (criteria, wanted) in [(json!({}), None), (json!({ "third": 1 }), Some(1))] {
        let expected: Vec<Value> = all
            .iter()
            .filter(|user| wanted.is_none_or(|third| user["claims"]["third"] == third))
            .cloned()
            .collect();
        for limit in [1, 2, 7, 1000] {
            let page = async |cursor: Option<String>| {
                let mut body = json!({ "claims": criteria, "limit": limit });
                if let Some(cursor) = cursor {
                    body["cursor"] = json!(cursor);
                }
                api.search(body).await
            };
            assert_eq!(Api::pages(page).await, expected, "{criteria}, limit {limit}");
        }
    }
}

pub async fn only_current_values_are_found(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api
        .create(json!({ "claims": { "a": 1 }, "authenticationProvider": { "subjectId": "old" } }))
        .await
        .expect(201)
        .id();
    api.update(&id, json!({ "claims": { "a": 2 }, "authenticationProvider": { "subjectId": "new" } }))
        .await
        .expect(200);
    let count = async |criteria: Value| api.search(criteria).await.expect(200).data().len();
    assert_eq!(count(json!({ "claims": { "a": 1 } })).await, 0);
    assert_eq!(count(json!({ "claims": { "a": 2 } })).await, 1);
    assert_eq!(count(json!({ "authenticationProvider": { "subjectId": "old" } })).await, 0);
    assert_eq!(count(json!({ "authenticationProvider": { "subjectId": "new" } })).await, 1);
    api.delete(&id).await.expect(204);
    assert_eq!(count(json!({ "claims": { "a": 2 } })).await, 0);
}

/// Few keys and values, so that criteria are likely to match.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![
            Just(json!(0)),
            Just(json!(-0.0)),
            Just(json!(1)),
            Just(json!(1.0)),
            Just(json!(-1)),
            Just(json!(1.5)),
            Just(json!(1e300)),
            Just(json!(1e-7)),
            Just(json!(i64::MIN)),
            Just(json!(u64::MAX))
        ],
        prop_oneof![
            Just("a"),
            Just("b"),
            Just("1"),
            Just(""),
            Just("ä😀"),
            Just("a\u{308}"),
            Just("\\u0061\n\"")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key(), inner, 0..3).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("ä")].prop_map(str::to_owned)
}

/// Some of them are as deep as claims may be.
fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let flat = btree_map(key(), json_value(), 0..4);
    let deep = (
        key(),
        any::<[bool; 31]>(),
        json_value().prop_filter("a scalar", |value| !value.is_object() && !value.is_array()),
    );
    let deep = deep.prop_map(|(key, are_arrays, leaf)| {
        let nested = are_arrays
            .into_iter()
            .fold(leaf, |inner, is_array| if is_array { json!([inner]) } else { json!({ "a": inner }) });
        std::collections::BTreeMap::from([(key, nested)])
    });
    prop_oneof![4 => flat, 1 => deep].prop_map(|members| members.into_iter().collect())
}

/// JSON text in which small integers are spelled in another way that means the same. With a fraction
/// or an exponent, a large one would be a double, which is another number.
fn spelled(value: &Value, runner: &mut TestRunner) -> String {
    match value {
        Value::Number(number) => match (draw(&(0..4), runner), number.to_string()) {
            (1, text) if number.as_i64().is_some_and(|n| n.unsigned_abs() < 1_000) => format!("{text}.0"),
            (2, text) if number.as_i64().is_some_and(|n| n != 0 && n.unsigned_abs() < 1_000) => {
                format!("{text}0e-1")
            }
            (3, text) if number.as_i64().is_some_and(|n| n.unsigned_abs() < 1_000) => format!("{text}E+00"),
            (_, text) => text,
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| spelled(item, runner)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let members =
                members.iter().map(|(key, value)| format!("{}:{}", json!(key), spelled(value, runner)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// A part of a value, so that a match is likely.
fn part_of(value: &Value, runner: &mut TestRunner) -> Value {
    let mut keep = |share: f64| draw(&proptest::bool::weighted(share), runner);
    match value {
        Value::Object(members) => {
            let kept: Vec<_> = members.iter().filter(|_| keep(0.6)).collect();
            kept.into_iter()
                .map(|(key, value)| (key.clone(), part_of(value, runner)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(items) => {
            let kept: Vec<_> = items.iter().filter(|_| keep(0.6)).collect();
            kept.into_iter().map(|item| part_of(item, runner)).collect::<Vec<_>>().into()
        }
        other => other.clone(),
    }
}

fn draw<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).expect("a value").current()
}

/// The ids of the users whose claims, as the API returns them, contain `criteria` according to
/// PostgreSQL.
async fn contained(postgres: &PgPool, users: &[Value], criteria: &Value) -> Vec<String> {
    let text = |name: &str| users.iter().map(|user| user[name].to_string()).collect::<Vec<_>>();
    sqlx::query_scalar(
        "SELECT trim(both '\"' from id) FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (id, claims, n)
         WHERE claims::jsonb @> $3::jsonb ORDER BY n",
    )
    .bind(text("id"))
    .bind(text("claims"))
    .bind(criteria.to_string())
    .fetch_all(postgres)
    .await
    .expect("Postgres answers")
}

pub async fn search_agrees_with_postgres(stack: &'static Stack) {
    let api = stack.tenant();
    let postgres = PgPool::connect(stack.var("DATABASE_URL")).await.unwrap();
    let mut runner = TestRunner::default();
    for _ in 0..60 {
        let claims = spelled(&draw(&claims(), &mut runner).into(), &mut runner);
        let body = format!(r#"{{"claims":{claims}}}"#);
        api.write(Method::POST, "").body("application/json", body).await.expect(201);
    }
    let users = api.list("limit=1000").await.expect(200).data();
    for n in 0..60 {
        let criteria = match n % 3 {
            0 => draw(&claims(), &mut runner).into(),
            _ => part_of(&users[n]["claims"], &mut runner),
        };
        let expected = contained(&postgres, &users, &criteria).await;
        let body = format!(r#"{{"claims":{},"limit":1000}}"#, spelled(&criteria, &mut runner));
        let found = api.read(Method::POST, "/search").body("application/json", body).await.expect(200).ids();
        assert_eq!(found, expected, "{criteria} among {users:?}");
    }
}
