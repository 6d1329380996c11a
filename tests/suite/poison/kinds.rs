//! Every kind of poison in `users.events` becomes a dead letter and parks its user, while everybody
//! else is served. Then it is discarded.

use super::bench::{Bench, Created, PARTITIONS, letter_id, texts};
use serde_json::{Value, json};
use tests::{Foreign, Stack};

/// A kind of poison.
struct Kind {
    /// The code of its reason.
    reason: &'static str,
    /// A part of the reason's text.
    words: &'static str,
    /// Whether it parks its user.
    is_at_home: bool,
    record: fn(&Created) -> Foreign,
}

/// A record in its user's partition, under the user's key.
const fn at_home(reason: &'static str, words: &'static str, record: fn(&Created) -> Foreign) -> Kind {
    Kind { reason, words, is_at_home: true, record }
}

/// A record that is not.
const fn astray(reason: &'static str, words: &'static str, record: fn(&Created) -> Foreign) -> Kind {
    Kind { reason, words, is_at_home: false, record }
}

const KINDS: [Kind; 22] = [
    at_home("not-json", "Not valid JSON", |user| update(user, "not json")),
    at_home("bad-data", "personal: Must be an object", |user| update(user, r#"{"personal":17}"#)),
    at_home("no-value", "no value", |user| update(user, "")),
    at_home("no-value", "no value", |user| update(user, "").without_value()),
    at_home("too-large", "larger than a user can be", |user| update(user, oversized())),
    at_home("headers-too-large", "larger than 64 KiB", |user| {
        Foreign::deletion(&user.key, 2).header("baggage", &"x".repeat(65 * 1024))
    }),
    at_home("unknown-version", "version", |user| {
        Foreign::event(&user.key, "user.updated.v9", "{}").header("ce_sequence", "2")
    }),
    at_home("gap", "gap: ", |user| Foreign::deletion(&user.key, 7)),
    at_home("header-mismatch", "header ce_tenantid does not match the key", |user| {
        Foreign::deletion(&user.key, 2).header("ce_tenantid", "another")
    }),
    at_home("header-mismatch", "header ce_subject does not match the key", |user| {
        Foreign::deletion(&user.key, 2).header("ce_subject", "another")
    }),
    at_home("missing-header", "header ce_sequence is missing", |user| {
        Foreign::event(&user.key, "user.deleted.v1", "{}")
    }),
    at_home("missing-header", "header ce_type is missing", |user| {
        Foreign::deletion(&user.key, 2).without("ce_type")
    }),
    at_home("empty-header", "header ce_type is empty", |user| {
        Foreign::deletion(&user.key, 2).header("ce_type", "")
    }),
    at_home("doubled-header", "header ce_sequence occurs more than once", |user| {
        Foreign::deletion(&user.key, 2).one_more("CE_Sequence", "2")
    }),
    at_home("bad-header", "ce_time is not an RFC 3339 time", |user| {
        Foreign::deletion(&user.key, 2).header("ce_time", "yesterday")
    }),
    at_home("bad-header-name", "name is not UTF-8", |user| {
        Foreign::deletion(&user.key, 2).with_unreadable_name()
    }),
    // Valid in binary mode, but the content type is that of structured mode.
    at_home("structured-mode", "application/cloudevents+json", |user| {
        Foreign::deletion(&user.key, 2).header("content-type", "application/cloudevents+json; charset=utf-8")
    }),
    at_home("structured-mode", "structured mode", |user| {
        let event = Foreign::deletion(&user.key, 2).without("ce_type").without("content-type");
        event.header("Content-Type", "Application/CloudEvents+JSON")
    }),
    at_home("batch-mode", "application/cloudevents-batch+json", |user| {
        Foreign::deletion(&user.key, 2).header("content-type", "application/cloudevents-batch+json")
    }),
    astray("no-record-key", "no key", |user| {
        Foreign::deletion(&user.key, 2).keyed(None).into_partition(user.partition)
    }),
    astray("bad-record-key", "key: ", |user| {
        Foreign::deletion(&user.key, 2).keyed(Some("nobody")).into_partition(user.partition)
    }),
    astray("wrong-partition", "murmur2_random", |user| {
        Foreign::deletion(&user.key, 2).into_partition((user.partition + 1) % PARTITIONS)
    }),
];

fn update(user: &Created, value: impl Into<Vec<u8>>) -> Foreign {
    Foreign::event(&user.key, "user.updated.v1", value).header("ce_sequence", "2")
}

/// Valid JSON, larger than any user.
fn oversized() -> Vec<u8> {
    json!({ "personal": { "claims": { "s": "x".repeat(600 * 1024) } } }).to_string().into_bytes()
}

/// A kind that was applied to a user.
struct Case {
    kind: &'static Kind,
    user: Created,
    record: Foreign,
    at: (i32, i64),
    /// The partition of the user's later events.
    behind: Vec<(i32, i64)>,
}

pub async fn every_kind_of_poison_parks_only_its_user(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    what_nobody_knows_is_skipped(&bench).await;
    let mut cases = Vec::new();
    for (n, kind) in KINDS.iter().enumerate() {
        cases.push(poisoned(&bench, kind, n % 2 == 0).await);
    }
    bench.all_partitions_go_on().await;
    assert_eq!(bench.letters().len(), cases.iter().map(|case| 1 + case.behind.len()).sum::<usize>());
    for case in &cases {
        is_kept(&bench, case);
        match case.kind.is_at_home {
            true => is_queued(&bench, case).await,
            // Its partition may belong to another instance than the user's.
            false => is_astray(&bench, case).await,
        }
    }
    for case in &cases {
        is_discarded(&bench, case).await;
    }
    a_rebuild_keeps_it(&bench).await;
}

/// An event of an unknown type may have any form. It is no poison.
async fn what_nobody_knows_is_skipped(bench: &Bench) {
    let user = bench.create().await;
    let values = [&br#"{"photo":1}"#[..], b"\0\x01avro", b""];
    let records = values.map(|value| Foreign::event(&user.key, "user.photo-added.v1", value));
    bench.deployment.append("users.events", &records).await;
    bench.goes_on(&user).await;
    assert_eq!(bench.letters(), Vec::<Value>::new());
}

/// A user with a record of that kind. If the record is in the user's queue, two later ones are
/// behind it.
async fn poisoned(bench: &Bench, kind: &'static Kind, has_more: bool) -> Case {
    let user = bench.create().await;
    let record = (kind.record)(&user);
    let mut records = vec![record.clone()];
    if kind.is_at_home && has_more {
        records.extend([2, 3].map(|sequence| Foreign::deletion(&user.key, sequence)));
    }
    let mut places = bench.deployment.append("users.events", &records).await;
    let behind = places.split_off(1);
    Case { kind, user, record, at: places[0], behind }
}

/// The dead letter shows the record, its headers, its place and the reason unchanged.
fn is_kept(bench: &Bench, case: &Case) {
    let id = letter_id("users", case.at);
    let letter = bench.dead_letters(&["show", &id, "--json"]).expect(0).json();
    let (partition, offset) = case.at;
    assert_eq!([&letter["id"], &letter["topic"]], [&json!(id), &json!("users")]);
    assert_eq!([&letter["partition"], &letter["offset"]], [&json!(partition), &json!(offset)]);
    assert_eq!(letter["reason"], case.kind.reason);
    let detail = letter["detail"].as_str().unwrap();
    assert!(detail.contains(case.kind.words), "{detail}");
    let is_home_named = detail.contains(&format!("partition {},", case.user.partition));
    assert!(case.kind.reason != "wrong-partition" || is_home_named, "{detail}");
    let name = |name: &str| match std::str::from_utf8(name.as_bytes()) {
        Ok(name) => name.to_owned(),
        Err(_) => "(a name that is not UTF-8)".to_owned(),
    };
    let headers =
        case.record.headers().map(|(header, value)| json!({ "name": name(header), "value": value }));
    assert_eq!(letter["headers"], headers.collect::<Value>());
    match serde_json::from_slice::<Value>(case.record.value()) {
        Ok(value) => assert_eq!(letter["value"], value),
        Err(_) if letter["valueBase64"].is_null() => {
            assert_eq!((&letter["value"], case.record.value().len()), (&Value::Null, 0))
        }
        Err(_) => assert_eq!(letter["valueBase64"], base64(case.record.value())),
    }
    assert_eq!(letter["key"], json!(case.record.key()));
    let owner = [&json!(bench.api.tenant), &json!(case.user.id)];
    assert_eq!([&letter["tenantId"], &letter["userId"]], owner, "the user that it names owns it");

    let text = bench.dead_letters(&["show", &id]).expect(0).stdout;
    let has = |line: &str| text.lines().any(|shown| shown == line);
    assert!(has(&format!("id      {id}")) && has(&format!("reason  {}", case.kind.reason)), "{text}");
    assert!(has(&format!("detail  {detail}")), "{text}");
    for (header, value) in case.record.headers() {
        assert!(has(&format!("header  {}: {value}", name(header))), "{header}: {text}");
    }
    let list = bench.dead_letters(&["list"]).expect(0).stdout;
    assert!(
        list.lines()
            .any(|line| line.contains(&id) && line.contains(case.kind.reason) && line.contains(detail)),
        "{list}"
    );
}

fn base64(bytes: &[u8]) -> Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    json!(STANDARD.encode(bytes))
}

/// The user is parked, later records are queued in order, and a retry reports the reason.
async fn is_queued(bench: &Bench, case: &Case) {
    bench.is_parked(&case.user, 1).await;
    let letters = bench.letters_of(&case.user);
    let places = [&[case.at], case.behind.as_slice()].concat();
    assert_eq!(texts(&letters, "id"), places.iter().map(|at| letter_id("users", *at)).collect::<Vec<_>>());
    assert!(texts(&letters, "reason")[1..].iter().all(|reason| reason == "queued"), "{letters:?}");
    let args = ["retry", "--json", "--tenant", &bench.api.tenant, "--user", &case.user.id];
    let retried = bench.dead_letters(&args).expect(1);
    assert_eq!([&retried.json()["settled"], &retried.json()["left"]], [&json!(0), &json!(places.len())]);
    assert_eq!(retried.json()["reason"], case.kind.reason);
    assert!(retried.stderr.contains(case.kind.words), "{retried:?}");
    bench.is_parked(&case.user, 1).await;
}

/// The user is not parked, and the user's dead letters include it.
async fn is_astray(bench: &Bench, case: &Case) {
    bench.goes_on(&case.user).await;
    assert_eq!(texts(&bench.letters_of(&case.user), "id"), [letter_id("users", case.at)]);
    let retried = bench.dead_letters(&["retry", "--json", "--user", &case.user.id]).expect(1).json();
    assert_eq!([&retried["settled"], &retried["left"]], [&json!(0), &json!(1)]);
    assert_eq!(retried["reason"], case.kind.reason);
}

/// Without the poison, the queued records take effect in order: the first deletion, not the second.
async fn is_discarded(bench: &Bench, case: &Case) {
    let id = letter_id("users", case.at);
    let discarded = bench.dead_letters(&["discard", &id, "--json"]).expect(0).json();
    assert_eq!(
        discarded,
        json!({ "settled": 1 + case.behind.len(), "left": 0, "reason": null, "detail": null })
    );
    if case.behind.is_empty() {
        bench.goes_on(&case.user).await;
    } else {
        bench.api.get(&case.user.id).await.expect(404);
    }
    assert_eq!(bench.letters_of(&case.user), Vec::<Value>::new());
    bench.dead_letters(&["discard", &id]).expect(1);
    bench.dead_letters(&["show", &id]).expect(1);
}

async fn a_rebuild_keeps_it(bench: &Bench) {
    let before = (bench.api.all(100).await, rejections(bench).await);
    assert_eq!(bench.letters(), Vec::<Value>::new());
    bench.rebuild(bench.cli()).await;
    assert_eq!(bench.letters(), Vec::<Value>::new());
    assert_eq!((bench.api.all(100).await, rejections(bench).await), before);
    bench.all_partitions_go_on().await;
}

/// The records of `users.events` without effect, with their reasons.
async fn rejections(bench: &Bench) -> Vec<Value> {
    let rows = "SELECT to_jsonb(r) FROM live.rejections r ORDER BY partition, log_offset";
    sqlx::query_scalar(rows).fetch_all(&bench.deployment.database).await.unwrap()
}
