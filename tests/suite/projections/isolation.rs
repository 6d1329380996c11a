//! A projection that fails or stands still holds back neither the users nor another projection.

use super::bench::{Bench, run};
use serde_json::{Value, json};
use tests::{Service, Stack, until};

const FRAGILE: &str = "projection.fragile=return";

async fn health(bench: &Bench) -> Value {
    let url = format!("{}/health/ready", bench.deployment.url(Service::Projector));
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

async fn metric(bench: &Bench, name: &str) -> Option<String> {
    let url = format!("{}/metrics", bench.deployment.url(Service::Projector));
    let metrics = reqwest::get(url).await.ok()?.text().await.ok()?;
    metrics.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

pub async fn a_broken_projection_holds_nobody_back(stack: &'static Stack) {
    let mut bench = Bench::start(stack, &[]).await;
    let cli = bench.cli().clone().set("FAILPOINTS", FRAGILE);
    for (way, reason) in
        [("refuse", "a test wants it"), ("panic", "panics"), ("slow", "longer than a second")]
    {
        let failpoints = format!("{FRAGILE};projection.{way}=return");
        bench.deployment.launch_instance(Service::Projector, 0, &[("FAILPOINTS", &failpoints)]);
        bench.deployment.ready(Service::Projector).await;
        let broken = bench.api.create(json!({ "claims": { "fragile": way } })).await.expect(201);
        let (partition, offset) = broken.position();
        let record = format!("users:{partition}:{offset}");
        until("the failure is shown", async || {
            let status = bench.status(&cli, "fragile").await;
            let failure = &status["failures"][0];
            let is_shown =
                failure["record"] == record.as_str() && failure["reason"].as_str()?.contains(reason);
            is_shown.then_some(())
        })
        .await;

        // Writes, reads and deletions go on, and so does the other projection.
        bench.populate(5).await;
        let gone = bench.api.user(json!({})).await;
        bench.api.delete(&gone).await.expect(204);
        bench.statistics_are_right().await;
        let said = run(&cli, &["projection", "status"], 0).await.stdout;
        assert!(
            said.contains("projection fragile, generation 1, fails since") && said.contains(&record),
            "{said}"
        );
        until("health and a metric show it", async || {
            let note = health(&bench).await["notes"]["projections"].as_str()?.contains("fragile");
            let failing =
                metric(&bench, "rollcall_projection_failing_generations{projection=\"fragile\"}").await?;
            (note && failing == "1").then_some(())
        })
        .await;

        bench.deployment.launch_instance(Service::Projector, 0, &[("FAILPOINTS", FRAGILE)]);
        bench.deployment.ready(Service::Projector).await;
        until("it follows again", async || {
            let status = bench.status(&cli, "fragile").await;
            (status["lag"] == 0 && status["failures"] == json!([])).then_some(())
        })
        .await;
        let query = ["projection", "query", "fragile", "--tenant", &bench.api.tenant, "--json"];
        let events: i64 = bench.expected().await.values().flatten().sum();
        assert_eq!(run(&cli, &query, 0).await.json()["result"]["events"], events, "each event once");
    }
}

pub async fn a_paused_projection_stands_still_alone(stack: &'static Stack) {
    let mut bench = Bench::start(stack, &[]).await;
    let cli = bench.cli().clone().set("FAILPOINTS", FRAGILE);
    bench.deployment.launch_instance(Service::Projector, 0, &[("FAILPOINTS", FRAGILE)]);
    bench.deployment.ready(Service::Projector).await;
    bench.populate(4).await;
    bench.until_level("statistics").await;
    let paused =
        run(&cli, &["projection", "pause", "--projection", "statistics", "--reason", "a look"], 0).await;
    assert!(paused.stdout.contains("a look"), "{paused:?}");
    let again = run(&cli, &["projection", "pause", "--projection", "statistics"], 0).await;
    assert!(again.stdout.starts_with("already paused"), "{again:?}");
    let before = bench.counted().await;
    bench.populate(4).await;
    // The other projection has had its turn, and others after it.
    until("the other one follows", async || (bench.status(&cli, "fragile").await["lag"] == 0).then_some(()))
        .await;
    let status = bench.status(&cli, "statistics").await;
    assert_eq!(status["paused"]["reason"], "a look", "{status}");
    let of_all = run(&cli, &["projection", "status"], 0).await.stdout;
    let is_named =
        |line: &str| line.starts_with("projection statistics is paused since") && line.ends_with("a look");
    assert!(of_all.lines().any(is_named), "{of_all}");
    assert!(status["lag"].as_i64().unwrap() > 0, "{status}");
    assert_eq!(bench.counted().await, before);

    let resumed = run(&cli, &["projection", "resume", "--projection", "statistics"], 0).await;
    assert!(resumed.stdout.starts_with("resumed; projection statistics was paused"), "{resumed:?}");
    let nothing = run(&cli, &["projection", "resume", "--projection", "statistics"], 0).await;
    assert!(nothing.stdout.contains("nothing was paused"), "{nothing:?}");
    bench.statistics_are_right().await;
}
