//! The users of the search benchmark, and the criteria.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// The URL in everybody's link.
const URL: &str = "https://idp.example";

/// A line of an import: user `n` of `users`, counted from 1. Nine claims and a link. `tail` is
/// clustered at the end of the order. `meet` has two values of which each user has one; only the
/// last 50 users have both.
pub(super) fn line(n: u64, users: u64) -> String {
    let tail = match n {
        _ if n * 50 > users * 49 => "last-2",
        _ if n * 100 > users * 68 => "last-30",
        _ => "no",
    };
    let meet = match n {
        _ if n + 50 > users => json!(["a", "b"]),
        _ if n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0 => json!(["a"]),
        _ => json!(["b"]),
    };
    let city = if n.is_multiple_of(50) { "Zurich" } else { "Bern" };
    let claims = json!({
        "externalUserId": format!("u-{n}"), "email": format!("ada{n}@example.com"), "level": n % 1000, "active": n.is_multiple_of(2),
        "address": { "city": city, "zip": 8000 + n % 100 }, "groups": ["staff", format!("team-{}", n % 20)],
        "tail": tail, "meet": meet, "profile": { "a": { "b": [{ "c": n % 200 }] } },
    });
    let link = json!({ "providerId": "0b5e6f1c-58f1-4b0c-8f0f-4f2c0c7e9a01", "url": URL, "subjectId": format!("s-{n}") });
    json!({ "claims": claims, "authenticationProvider": link, "createdAt": created_at(n) }).to_string()
}

/// Every 17 ms, so that the order is that of the numbers.
fn created_at(n: u64) -> String {
    let after = Duration::milliseconds(i64::try_from(n).unwrap_or_default() * 17);
    (OffsetDateTime::UNIX_EPOCH + Duration::days(20_454) + after).format(&Rfc3339).unwrap_or_default()
}

/// The criteria, each with a name.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    let claims = |claims: Value| json!({ "claims": claims });
    let ten = json!({ "active": true, "groups": ["staff", "team-10"], "level": 510, "tail": "no", "address": { "city": "Bern", "zip": 8010 },
        "profile": { "a": { "b": [{ "c": 110 }] } }, "externalUserId": "u-4510", "email": "ada4510@example.com" });
    let eight = json!({ "active": true, "groups": ["staff", "team-10"], "tail": "no", "address": { "city": "Bern", "zip": 8010 } });
    vec![
        ("unique", claims(json!({ "externalUserId": "u-4711" }))),
        ("no match", claims(json!({ "externalUserId": "nobody" }))),
        ("number, 0.1 %", claims(json!({ "level": 7 }))),
        ("nested, 2 %", claims(json!({ "address": { "city": "Zurich" } }))),
        ("nested, 98 %", claims(json!({ "address": { "city": "Bern" } }))),
        ("last 2 % of the order", claims(json!({ "tail": "last-2" }))),
        ("last 30 %", claims(json!({ "tail": "last-30" }))),
        ("common, 50 %", claims(json!({ "active": true }))),
        ("array, 5 %", claims(json!({ "groups": ["team-3"] }))),
        ("deep object, 0.5 %", claims(json!({ "profile": { "a": { "b": [{ "c": 7 }] } } }))),
        ("two common", claims(json!({ "active": true, "groups": ["staff"] }))),
        ("two common that meet late", claims(json!({ "meet": ["a", "b"] }))),
        ("common + last 2 %", claims(json!({ "active": true, "tail": "last-2" }))),
        ("common + rare", claims(json!({ "active": true, "email": "ada4712@example.com" }))),
        ("two that never meet", claims(json!({ "active": true, "level": 7 }))),
        ("ten terms, one unique", claims(ten)),
        ("eight common", claims(eight)),
        ("an object, any", claims(json!({ "address": {} }))),
        ("an object, no match", claims(json!({ "level": {} }))),
        ("{}", claims(json!({}))),
        ("subject", json!({ "authenticationProvider": { "subjectId": "s-4711" } })),
        ("link of all", json!({ "authenticationProvider": { "url": URL } })),
        (
            "link of all + two claims",
            json!({ "authenticationProvider": { "url": URL }, "claims": { "active": true, "level": 8 } }),
        ),
    ]
}
