//! Anyone may write records to `users.credentials` that name a deleted user. They make a proof fail
//! until an operator has dealt with them.

use super::bench::{Bench, found, marker};
use serde_json::{Value, json};
use tests::{Foreign, Stack, until};
use uuid::Uuid;

const TYPE: &str = "credential.issued.v1";

pub async fn an_operator_deals_with_unreadable_records(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    let id = bench.user(&marker()).await;
    let other = bench.user(&marker()).await;
    bench.issue_credential(&id);
    bench.api.delete(&id).await.expect(204);
    assert_eq!(bench.proof(&id, 0)["verdict"], "erased");

    let key = format!("{}/{id}", bench.api.tenant);
    let empty = [Foreign::event(&key, TYPE, "").without_value(), Foreign::event(&key, TYPE, "")];
    append(&bench, &empty).await;
    let counts = &bench.proof(&id, 0)["credentials"];
    assert_eq!(*counts, json!({ "records": 3, "facts": 1, "unclear": 0, "discarded": 0, "empty": 2 }));
    bench.audit(0);

    let places = append(&bench, &unreadable(&key)).await;
    is_told(&bench, &id, &places);
    is_dealt_with(&bench, &id, &places);
    // Only records that can't be folded can be discarded.
    let sound =
        append(&bench, &[Foreign::event(&format!("{}/{other}", bench.api.tenant), TYPE, sound())]).await;
    let refused = bench.deployment.cli.run(&["dead-letters", "discard", &sound[0]]).expect(1);
    assert!(refused.stderr.contains("can be folded"), "{refused:?}");
    let again = bench.deployment.cli.run(&["dead-letters", "discard", &places[0]]).expect(1);
    assert!(again.stderr.contains("discarded already"), "{again:?}");

    let cli = bench.deployment.cli.clone();
    tokio::task::spawn_blocking(move || cli.run(&["projection", "rebuild", "--promote"]))
        .await
        .unwrap()
        .expect(0);
    assert_eq!(bench.proof(&id, 0)["credentials"]["discarded"], places.len());
    bench.audit(0);
}

fn sound() -> String {
    json!({ "id": Uuid::new_v4(), "type": "T", "profile": "compact" }).to_string()
}

/// Records that name the user and can't be folded.
fn unreadable(key: &str) -> Vec<Foreign> {
    let (tenant, id) = key.split_once('/').unwrap();
    let loud = format!("{tenant}/{}", id.to_uppercase());
    let issued = |value: &str| Foreign::event(key, TYPE, value);
    let elsewhere = |partition| issued(&sound()).into_partition(partition);
    vec![
        issued("not json"),
        issued(r#"{"name":"somebody"}"#),
        Foreign::event(key, "credential.issued.v2", sound()),
        issued(&sound()).header("content-type", "application/cloudevents+json"),
        issued(&sound()).keyed(Some(&loud)),
        // One of the two names another user than the key.
        elsewhere(0).header("ce_subject", "nobody"),
        elsewhere(1).header("ce_subject", "nobody"),
    ]
}

/// Appends records to `users.credentials` and waits until they are folded. Returns their places by
/// name.
async fn append(bench: &Bench, records: &[Foreign]) -> Vec<String> {
    let places = bench.deployment.append("users.credentials", records).await;
    for (partition, offset) in &places {
        let is_folded =
            "SELECT next_offset > $2 FROM live.checkpoints WHERE topic = 'credentials' AND partition = $1";
        until("it is folded", async || {
            let folded = sqlx::query_scalar(is_folded).bind(partition).bind(offset);
            folded.fetch_one(&bench.deployment.database).await.unwrap_or(false).then_some(())
        })
        .await;
    }
    places.iter().map(|(partition, offset)| format!("credentials:{partition}:{offset}")).collect()
}

/// Each is reported with its place, the sums add up, and a remedy is named.
fn is_told(bench: &Bench, id: &str, places: &[String]) {
    let proof = bench.proof(id, 1);
    assert_eq!(proof["verdict"], "left");
    assert_eq!(found(&proof), [("unclearRecords".to_owned(), places.len() as u64)]);
    let mut told: Vec<_> = proof["findings"][0]["places"].as_array().unwrap().iter().map(text).collect();
    let mut expected = places.to_vec();
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
    adds_up(&proof);
    assert_eq!(
        (&proof["events"]["unclear"], &proof["credentials"]["unclear"]),
        (&json!(0), &json!(places.len()))
    );
    let said = bench.prove(id).expect(1).stdout;
    let row = said.lines().find(|line| line.starts_with("users.credentials")).unwrap();
    assert!(
        row.contains("10 records: 1 pseudonymous") && row.contains("7 unclear, 2 without a value"),
        "{said}"
    );
    assert!(said.contains("rollcall dead-letters discard"), "{said}");
    let audit = bench.audit(1);
    assert_eq!(found(&audit), [("unclearRecords".to_owned(), places.len() as u64)]);
    let said = bench.deployment.cli.run(&["erasure", "audit"]).expect(1).stdout;
    assert!(said.contains("rollcall dead-letters discard"), "{said}");
}

/// After they are discarded, they are counted as such, and the user is erased.
fn is_dealt_with(bench: &Bench, id: &str, places: &[String]) {
    let names: Vec<&str> = places.iter().map(String::as_str).collect();
    let discarded =
        bench.deployment.cli.run(&[&["dead-letters", "discard", "--json"], names.as_slice()].concat());
    assert_eq!(discarded.expect(0).json()["settled"], places.len());
    let proof = bench.proof(id, 0);
    assert_eq!((&proof["verdict"], found(&proof)), (&json!("erased"), vec![]));
    adds_up(&proof);
    assert_eq!(proof["credentials"]["discarded"], places.len());
    assert_eq!(proof["discarded"].as_array().unwrap().len(), places.len());
    assert!(bench.prove(id).expect(0).stdout.contains("discarded by an operator"));
    assert_eq!(bench.audit(0)["discarded"], places.len());
}

fn adds_up(proof: &Value) {
    let sum = |of: &str, members: &[&str]| {
        members.iter().map(|name| proof[of][name].as_u64().unwrap()).sum::<u64>()
    };
    let events = sum("events", &["sealed", "plain", "unclear", "discarded", "impersonal"]);
    assert_eq!(proof["events"]["events"], events, "{proof}");
    let credentials = sum("credentials", &["facts", "unclear", "discarded", "empty"]);
    assert_eq!(proof["credentials"]["records"], credentials, "{proof}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
