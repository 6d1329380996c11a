//! Every kind of poison in `users.events`: set aside as it came, its user parked, everybody else served; then discarded.

use super::bench::{Bench, Created, PARTITIONS, letter_id, texts};
use serde_json::{Value, json};
use tests::{Foreign, Stack};

/// A kind of poison.
struct Kind {
    /// What its reason says, at the beginning.
    reason: &'static str,
    /// Whether it is known whose it is.
    is_owned: bool,
    record: fn(&Created) -> Foreign,
}

const KINDS: [Kind; 12] = [
    Kind { reason: "data: ", is_owned: true, record: |user| update(user, "not json") },
    Kind { reason: "data: ", is_owned: true, record: |user| update(user, r#"{"personal":17}"#) },
    Kind {
        reason: "data: larger than a user can be",
        is_owned: true,
        record: |user| update(user, oversized()),
    },
    Kind {
        reason: "data: its headers are larger than 64 KiB",
        is_owned: true,
        record: |user| Foreign::deletion(&user.key, 2).header("baggage", &"x".repeat(65 * 1024)),
    },
    Kind {
        reason: "the type's version is not known to this build",
        is_owned: true,
        record: |user| Foreign::event(&user.key, "user.updated.v9", "{}").header("ce_sequence", "2"),
    },
    Kind { reason: "gap: ", is_owned: true, record: |user| Foreign::deletion(&user.key, 7) },
    Kind {
        reason: "header ce_tenantid is not that of the key",
        is_owned: true,
        record: |user| Foreign::deletion(&user.key, 2).header("ce_tenantid", "another"),
    },
    Kind {
        reason: "header ce_subject is not that of the key",
        is_owned: true,
        record: |user| Foreign::deletion(&user.key, 2).header("ce_subject", "another"),
    },
    Kind {
        reason: "header ce_sequence is missing",
        is_owned: true,
        record: |user| Foreign::event(&user.key, "user.deleted.v1", "{}"),
    },
    Kind {
        reason: "key: there is none",
        is_owned: false,
        record: |user| Foreign::deletion(&user.key, 2).keyed(None).into_partition(user.partition),
    },
    Kind {
        reason: "key: ",
        is_owned: false,
        record: |user| Foreign::deletion(&user.key, 2).keyed(Some("nobody")).into_partition(user.partition),
    },
    Kind {
        reason: "the key does not belong to this partition",
        is_owned: false,
        record: |user| Foreign::deletion(&user.key, 2).into_partition((user.partition + 1) % PARTITIONS),
    },
];

fn update(user: &Created, value: impl Into<Vec<u8>>) -> Foreign {
    Foreign::event(&user.key, "user.updated.v1", value).header("ce_sequence", "2")
}

/// Sound JSON that no user is as large as.
fn oversized() -> Vec<u8> {
    json!({ "personal": { "claims": { "s": "x".repeat(600 * 1024) } } }).to_string().into_bytes()
}

/// A kind that was tried on a user.
struct Case {
    kind: &'static Kind,
    user: Created,
    record: Foreign,
    at: (i32, i64),
    /// Where later events of the user lie.
    behind: Vec<(i32, i64)>,
}

pub async fn every_kind_of_poison_parks_its_user_alone(stack: &'static Stack) {
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
        match case.kind.is_owned {
            true => is_queued(&bench, case).await,
            // Nobody knows whose it is, and the user that it names may be another instance's.
            false => bench.goes_on(&case.user).await,
        }
    }
    for case in &cases {
        is_discarded(&bench, case).await;
    }
    a_rebuild_keeps_it(&bench).await;
}

/// A type of a later build may be of any form: it is no poison.
async fn what_nobody_knows_is_skipped(bench: &Bench) {
    let user = bench.create().await;
    let values = [&br#"{"photo":1}"#[..], b"\0\x01avro", b""];
    let records = values.map(|value| Foreign::event(&user.key, "user.photo-added.v1", value));
    bench.deployment.append("users.events", &records).await;
    bench.goes_on(&user).await;
    assert_eq!(bench.letters(), Vec::<Value>::new());
}

/// A user with a record of that kind, and if it is known to be the user's, with two later ones behind it.
async fn poisoned(bench: &Bench, kind: &'static Kind, has_more: bool) -> Case {
    let user = bench.create().await;
    let record = (kind.record)(&user);
    let mut records = vec![record.clone()];
    if kind.is_owned && has_more {
        records.extend([2, 3].map(|sequence| Foreign::deletion(&user.key, sequence)));
    }
    let mut places = bench.deployment.append("users.events", &records).await;
    let behind = places.split_off(1);
    Case { kind, user, record, at: places[0], behind }
}

/// The record, its headers, its place and the reason are shown as they came.
fn is_kept(bench: &Bench, case: &Case) {
    let id = letter_id("users", case.at);
    let letter = bench.dead_letters(&["show", &id, "--json"]).expect(0).json();
    let (partition, offset) = case.at;
    assert_eq!([&letter["id"], &letter["topic"]], [&json!(id), &json!("users")]);
    assert_eq!([&letter["partition"], &letter["offset"]], [&json!(partition), &json!(offset)]);
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.starts_with(case.kind.reason), "{reason}");
    let headers = case.record.headers().map(|(name, value)| json!({ "name": name, "value": value }));
    assert_eq!(letter["headers"], headers.collect::<Value>());
    match serde_json::from_slice::<Value>(case.record.value()) {
        Ok(value) => assert_eq!(letter["value"], value),
        Err(_) => assert_eq!(letter["valueBase64"], base64(case.record.value())),
    }
    assert_eq!(letter["key"], json!(case.record.key()));
    let (tenant, user) = match case.kind.is_owned {
        true => (json!(bench.api.tenant), json!(case.user.id)),
        false => (Value::Null, Value::Null),
    };
    assert_eq!([&letter["tenantId"], &letter["userId"]], [&tenant, &user]);

    let text = bench.dead_letters(&["show", &id]).expect(0).stdout;
    let has = |line: &str| text.lines().any(|shown| shown == line);
    assert!(has(&format!("id      {id}")) && has(&format!("reason  {reason}")), "{text}");
    for (name, value) in case.record.headers() {
        assert!(has(&format!("header  {name}: {value}")), "{name}: {text}");
    }
    let list = bench.dead_letters(&["list"]).expect(0).stdout;
    assert!(list.lines().any(|line| line.contains(&id) && line.contains(reason)), "{list}");
}

fn base64(bytes: &[u8]) -> Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    json!(STANDARD.encode(bytes))
}

/// The user is parked, what came later waits in its order, and a retry says why it still does.
async fn is_queued(bench: &Bench, case: &Case) {
    bench.is_parked(&case.user, 1).await;
    let letters = bench.letters_of(&case.user);
    let places = [&[case.at], case.behind.as_slice()].concat();
    assert_eq!(texts(&letters, "id"), places.iter().map(|at| letter_id("users", *at)).collect::<Vec<_>>());
    for reason in &texts(&letters, "reason")[1..] {
        assert_eq!(reason, "queued behind an earlier one");
    }
    let args = ["retry", "--json", "--tenant", &bench.api.tenant, "--user", &case.user.id];
    let retried = bench.dead_letters(&args).expect(1);
    assert_eq!([&retried.json()["settled"], &retried.json()["left"]], [&json!(0), &json!(places.len())]);
    assert!(retried.stderr.contains(case.kind.reason), "{retried:?}");
    bench.is_parked(&case.user, 1).await;
}

/// Without the poison, what waited behind it has its effect, in its order: the first deletion, not the second.
async fn is_discarded(bench: &Bench, case: &Case) {
    let id = letter_id("users", case.at);
    let discarded = bench.dead_letters(&["discard", &id, "--json"]).expect(0).json();
    assert_eq!(discarded, json!({ "settled": 1 + case.behind.len(), "left": 0, "reason": null }));
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

/// Every record of `users.events` without effect, with its reason.
async fn rejections(bench: &Bench) -> Vec<Value> {
    let rows = "SELECT to_jsonb(r) FROM live.rejections r ORDER BY partition, log_offset";
    sqlx::query_scalar(rows).fetch_all(&bench.deployment.database).await.unwrap()
}
