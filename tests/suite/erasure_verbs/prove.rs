//! Proofs of one user: before the create, alive, and deleted.

use super::bench::{Bench, found, has, marker};
use serde_json::{Value, json};
use tests::Stack;
use uuid::Uuid;

pub async fn a_user_is_proved_before_and_after_each_change(stack: &'static Stack) {
    let (bench, marker) = (Bench::start(stack, &[]).await, marker());
    never_there(&bench);
    let id = bench.user(&marker).await;
    bench.issue_credential(&id);
    alive(&bench, &id, &marker);
    let deleted = bench.api.delete(&id).await.expect(204).position();
    erased(&bench, &id, deleted);
    let text = bench.prove(&id).expect(0);
    assert!(text.stdout.contains("erased: no personal data") && !text.stdout.contains(&marker), "{text:?}");
    assert_eq!(found(&bench.audit(0)), []);
    after_a_rebuild(&bench, &id).await;
    never_there(&bench);
}

fn never_there(bench: &Bench) {
    let id = Uuid::new_v4().to_string();
    let said = bench.prove(&id).expect(0);
    assert!(said.stdout.contains("never there: no such user was ever recorded"), "{said:?}");
    let proof = bench.proof(&id, 0);
    assert_eq!((&proof["verdict"], &proof["tombstone"]), (&json!("neverThere"), &Value::Null));
    assert_eq!(found(&proof), []);
}

fn alive(bench: &Bench, id: &str, marker: &str) {
    let said = bench.prove(id).expect(1);
    assert!(said.stdout.contains("alive: this user exists"), "{said:?}");
    assert!(said.stdout.contains("data keys of the user in the key store: 1"), "{said:?}");
    assert!(!format!("{said:?}").contains(marker), "no personal data is printed: {said:?}");
    let proof = bench.proof(id, 1);
    assert_eq!((&proof["verdict"], &proof["keys"]["isThere"]), (&json!("alive"), &json!(true)));
    let held = found(&proof);
    for (kind, count) in [("userRow", 1), ("credentials", 1), ("key", 1), ("openedEvents", 2)] {
        assert!(held.contains(&(kind.to_owned(), count)), "{kind}: {held:?}");
    }
    assert!(!has(&proof, "analyticEvents") && !has(&proof, "unfoldedEvents"), "{held:?}");
    assert_eq!(found(&bench.audit(0)), [], "the living are none of its business");
}

fn erased(bench: &Bench, id: &str, (partition, offset): (i32, i64)) {
    let proof = bench.proof(id, 0);
    assert_eq!((&proof["verdict"], found(&proof)), (&json!("erased"), vec![]));
    assert_eq!([&proof["tenantId"], &proof["userId"]], [&json!(bench.api.tenant), &json!(id)]);
    let tombstone = &proof["tombstone"];
    assert_eq!([&tombstone["partition"], &tombstone["offset"]], [&json!(partition), &json!(offset)]);
    assert_eq!(tombstone["version"], 3);
    let events = json!({
        "events": 3, "sealed": 2, "opened": 0, "plain": 0, "unclear": 0, "discarded": 0, "impersonal": 1,
    });
    assert_eq!(proof["events"], events);
    let credentials = json!({ "records": 1, "facts": 1, "unclear": 0, "discarded": 0, "empty": 0 });
    assert_eq!((&proof["credentials"], &proof["discarded"]), (&credentials, &json!([])));
    // The secret that ids are derived from is a key too, and there is no other.
    assert_eq!(proof["keys"], json!({ "keys": 1, "tries": 2, "isThere": false }));
    assert_eq!(proof["pendingSteps"], json!([]));
    assert_eq!(proof["generations"][0]["isTombstoneThere"], true);
    assert!(proof["cache"]["marks"].as_u64() <= Some(1) && proof["cache"]["bodies"] == 0);
    assert!(proof["analytics"]["ofUser"].as_u64() >= Some(3), "{}", proof["analytics"]);
    assert_eq!(proof["analytics"]["sayingMore"], 0);
    whole_log(&proof, (partition, offset));
    assert_eq!(bench.proof(id, 0)["log"], proof["log"], "the digest depends only on the log");
    assert!(proof["startedAt"].as_str() <= proof["endedAt"].as_str());
}

/// The proof names the ranges that were read, and their sizes.
fn whole_log(proof: &Value, (partition, offset): (i32, i64)) {
    let partitions = proof["log"]["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 8, "four of each topic");
    for read in partitions {
        let number = |member: &str| read[member].as_i64().unwrap();
        assert_eq!((number("from"), number("to")), (0, number("records")));
        assert_eq!(read["digest"].as_str().unwrap().len(), 64);
        let is_home = read["topic"] == "users" && read["partition"] == partition;
        assert!(!is_home || number("to") > offset, "the deletion was read");
    }
    let records: i64 = partitions.iter().map(|read| read["records"].as_i64().unwrap()).sum();
    assert_eq!(proof["log"]["records"], records);
    assert_eq!(proof["log"]["digest"].as_str().unwrap().len(), 64);
}

/// The retired generation is searched too.
async fn after_a_rebuild(bench: &Bench, id: &str) {
    let cli = bench.deployment.cli.clone();
    let run = tokio::task::spawn_blocking(move || cli.run(&["projection", "rebuild", "--promote"]));
    run.await.unwrap().expect(0);
    let proof = bench.proof(id, 0);
    let states: Vec<_> =
        proof["generations"].as_array().unwrap().iter().map(|look| look["state"].clone()).collect();
    assert_eq!(states, ["retired", "live"]);
    assert_eq!(found(&bench.audit(0)), []);
}
