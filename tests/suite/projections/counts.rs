//! Statistics equal a count over the log by a foreign reading, whatever happens to the projectors.

use super::bench::{Bench, run};
use serde_json::json;
use tests::{Foreign, Service, Stack, until};

pub async fn statistics_count_what_the_log_says(stack: &'static Stack) {
    let bench = Bench::start(stack, &[]).await;
    bench.populate(20).await;
    // A write that lost: the user has this version already.
    let user = bench.api.user(json!({})).await;
    let key = format!("{}/{user}", bench.api.tenant);
    bench.deployment.append("users.events", &[Foreign::deletion(&key, 1)]).await;
    bench.api.update(&user, json!({ "claims": {} })).await.expect(200);
    bench.statistics_are_right().await;
    let counts = bench.counted().await;
    assert!(counts.keys().filter(|(_, provider)| provider.is_some()).count() >= 2, "{counts:?}");

    let stranger =
        run(bench.cli(), &["projection", "query", "statistics", "--tenant", "nobody", "--json"], 0).await;
    assert_eq!(stranger.json()["result"], json!([]));
}

pub async fn a_killed_projector_counts_nothing_twice(stack: &'static Stack) {
    let mut bench = Bench::start(stack, &[]).await;
    bench.populate(6).await;
    for point in ["projection.applied", "projection.committed"] {
        bench.deployment.stop(Service::Projector);
        let failpoint = format!("{point}=1*off->return");
        bench.deployment.launch_instance(Service::Projector, 0, &[("FAILPOINTS", &failpoint)]);
        until("it dies", async || {
            // Its death may lose the answer, but not the write.
            let _ = bench.api.create(json!({ "claims": { "point": point } })).attempt().await;
            bench.deployment.has_ended(Service::Projector, 0)
        })
        .await;
        // A second one takes over from the one that is killed.
        bench.deployment.launch_instance(Service::Projector, 1, &[]);
        bench.deployment.crash(Service::Projector).await;
        bench.deployment.ready_instance(Service::Projector, 1).await;
        bench.populate(4).await;
        bench.deployment.kill_instance(Service::Projector, 1);
        bench.populate(2).await;
        bench.statistics_are_right().await;
    }
}

pub async fn a_reprocessed_event_is_counted(stack: &'static Stack) {
    let mut bench = Bench::start(stack, &[]).await;
    let bad_build = [("FAILPOINTS", "record.poison=return")];
    bench.deployment.launch_instance(Service::Projector, 0, &bad_build);
    bench.deployment.ready(Service::Projector).await;
    let user = bench.api.user(json!({})).await;
    let link = json!({ "claims": {}, "authenticationProvider": { "subjectId": "s", "providerId": uuid::Uuid::new_v4().to_string() } });
    bench.api.update(&user, link).header("X-Request-Id", "x-poison").await.expect(202);
    bench.api.user(json!({})).await;
    bench.until_level("statistics").await;
    let waiting = &bench.status(bench.cli(), "statistics").await["generations"][0]["waiting"];
    assert_eq!(waiting, 1, "the parked event is passed");
    let updates = |counts: super::bench::Counts| counts.values().map(|[_, updates, _]| updates).sum::<i64>();
    assert_eq!(updates(bench.counted().await), 0);

    bench.deployment.crash(Service::Projector).await;
    run(bench.cli(), &["dead-letters", "retry", "--tenant", &bench.api.tenant, "--user", &user], 0).await;
    until("it is folded", async || {
        let status = bench.status(bench.cli(), "statistics").await;
        (status["generations"][0]["waiting"] == 0).then_some(())
    })
    .await;
    bench.statistics_are_right().await;
    assert_eq!(updates(bench.counted().await), 1);
}
