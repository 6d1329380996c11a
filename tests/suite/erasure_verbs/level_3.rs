//! At level 3 analytic events contain personal data, so a delete leaves something behind until
//! their topic's retention ends.

use super::bench::{Bench, has, marker};
use serde_json::json;
use tests::{Stack, until};

pub async fn level_3_leaves_personal_data(stack: &'static Stack) {
    let bench = Bench::start(stack, &[("ROLLCALL_ANALYTICS_LEVEL", "3")]).await;
    let marker = marker();
    let user = json!({ "claims": { "name": marker } });
    let create = || bench.api.create(user.clone()).header("Idempotency-Key", "k");
    let id = create().await.expect(201).id();
    // A request without an event in the log. Only the analytic events name its user.
    create().await.expect(200);
    bench.api.update(&id, user.clone()).await.expect(200);
    bench.api.delete(&id).await.expect(204);
    until("all STARTs are there", async || is_whole(&showing(&bench, &marker).await).then_some(())).await;
    until("everything that says more is found", async || {
        let proof = bench.proof(&id, 1);
        assert_eq!(proof["verdict"], "left");
        // More events may arrive between the two checks.
        (proof["analytics"]["sayingMore"] == showing(&bench, &marker).await.len()).then_some(())
    })
    .await;
    assert!(has(&bench.audit(1), "analyticEvents"));
    let said = bench.prove(&id).expect(1);
    assert!(said.stdout.contains("analytic events with more than ids"), "{said:?}");
    assert!(!format!("{said:?}").contains(&marker), "{said:?}");
}

/// The types of the analytic events with the marker.
async fn showing(bench: &Bench, marker: &str) -> Vec<String> {
    let events = bench.deployment.topic("users.analytics").await;
    let showing = events.iter().filter(|event| event.json().to_string().contains(marker));
    showing.map(|event| event.header("ce_type").to_owned()).collect()
}

/// The START of a create does not name its user.
fn is_whole(types: &[String]) -> bool {
    let count = |wanted: &str| types.iter().filter(|name| *name == wanted).count();
    (count("USER_CREATE_START"), count("USER_UPDATE_START")) == (2, 1)
}
