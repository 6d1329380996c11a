//! Many dead letters are resolved at once, by their ids or by their reason.

use super::bench::{Bench, letter_id, texts};
use serde_json::{Value, json};
use tests::{Foreign, Stack, until};

/// More than the requests taken at once.
const MANY: usize = 20;

pub async fn many_are_discarded_at_once(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let user = bench.create().await;
    let bad = |value: &str| Foreign::event(&user.key, "credential.issued.v1", value);
    let mut records = vec![bad("not json"); MANY];
    records.extend([bad(""), bad("{}"), bad("[]"), bad("{}")]);
    let places = bench.deployment.append("users.credentials", &records).await;
    until("all are set aside", async || (bench.letters().len() == records.len()).then_some(())).await;
    let ids: Vec<_> = places.iter().map(|at| letter_id("credentials", *at)).collect();

    let refused = bench.dead_letters(&["discard", "--reason", "queued"]).expect(1);
    assert!(refused.stderr.contains("sound"), "{refused:?}");
    let unknown = bench.dead_letters(&["discard", "--reason", "nonsense"]).expect(2);
    assert!(unknown.stderr.contains("no-value"), "it says which there are: {unknown:?}");
    bench.dead_letters(&["discard", "--reason", "gap"]).expect(1);
    bench.dead_letters(&["discard", &ids[0], "--reason", "gap"]).expect(2);
    // If one does not exist, nothing is changed.
    let missing = bench.dead_letters(&["discard", &ids[0], "credentials:0:99999"]).expect(1);
    assert!(missing.stderr.contains("credentials:0:99999"), "{missing:?}");
    assert_eq!(bench.letters().len(), records.len());

    let said = bench.dead_letters(&["discard", "--reason", "not-json", "--json"]).expect(0).json();
    assert_eq!(said["settled"], MANY);
    let reasons = texts(&bench.letters(), "reason");
    assert_eq!(reasons, ["no-value", "bad-data", "bad-data", "bad-data"]);
    let [.., first, second, third, last] = ids.as_slice() else { panic!("too few") };
    let said = bench.dead_letters(&["retry", second, third, "--json"]).expect(1).json();
    assert_eq!((&said["settled"], &said["reason"]), (&json!(0), &json!("no-value")));
    bench.dead_letters(&["discard", first, last, second, first]).expect(0);
    assert_eq!(texts(&bench.letters(), "id"), [third.clone()]);
    bench.dead_letters(&["discard", third]).expect(0);
    assert_eq!(bench.letters(), Vec::<Value>::new());
}
