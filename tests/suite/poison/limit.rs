//! The projectors pause when too many users would be parked, or when an operator pauses them.
//! Nothing is folded, across restarts, until an operator resumes them.

use super::bench::Bench;
use serde_json::{Value, json};
use tests::{Foreign, Service, Stack, until};
use uuid::Uuid;

/// Users that may be parked in ten minutes.
const LIMIT: usize = 100;
/// Fewer than the limit, but too many with the earlier ones.
const FIRST: usize = 60;
const MORE: usize = 90;
const WHY: &str = "too many users had to be parked";

pub async fn too_many_parked_users_pause_the_projectors(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    poison(&bench, FIRST).await;
    parked(&bench, FIRST).await;
    // The rest is there at once, as after a bad deployment. A restart does not reset the count.
    bench.deployment.stop(Service::Projector);
    poison(&bench, MORE).await;
    bench.deployment.launch(Service::Projector);
    bench.is_stopped(WHY).await;
    assert_eq!(bench.letters().len(), LIMIT, "as many as may be, and no more");
    says_why(&bench, "limit", WHY);
    nothing_is_folded(&mut bench, WHY).await;

    bench.cli().run(&["projection", "resume"]).expect(0);
    bench.deployment.ready(Service::Projector).await;
    parked(&bench, FIRST + MORE).await;
    goes_on(&bench).await;
}

/// Gaps in sequences, each of another user.
async fn poison(bench: &Bench, count: usize) {
    let gap = |_| Foreign::deletion(&format!("{}/{}", bench.api.tenant, Uuid::new_v4()), 5);
    bench.deployment.append("users.events", &(0..count).map(gap).collect::<Vec<_>>()).await;
}

async fn parked(bench: &Bench, count: usize) {
    until("so many are parked", async || (bench.letters().len() == count).then_some(())).await;
}

pub async fn an_operator_pauses_and_resumes(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let resumed = bench.cli().run(&["projection", "resume", "--json"]).expect(0).json();
    assert_eq!(resumed["resumed"], Value::Null, "it was not paused, which is no error");
    let reason = "the database is moved";
    let paused = bench.cli().run(&["projection", "pause", "--reason", reason, "--json"]).expect(0).json();
    assert_eq!(paused["paused"]["reason"], reason);
    bench.is_stopped(reason).await;
    says_why(&bench, "operator", reason);
    // The first reason stays.
    let again = bench.cli().run(&["projection", "pause", "--reason", "another"]).expect(0);
    assert!(again.stdout.contains(reason), "{again:?}");
    nothing_is_folded(&mut bench, reason).await;

    let resumed = bench.cli().run(&["projection", "resume", "--json"]).expect(0).json();
    assert_eq!([&resumed["resumed"]["by"], &resumed["resumed"]["reason"]], ["operator", reason]);
    bench.deployment.ready(Service::Projector).await;
    goes_on(&bench).await;
}

/// `projection status` reports it, as text and as JSON.
fn says_why(bench: &Bench, by: &str, why: &str) {
    let pause = bench.pause();
    assert_eq!(pause["by"], by);
    assert!(pause["reason"].as_str().unwrap().contains(why), "{pause}");
    let text = bench.cli().run(&["projection", "status"]).expect(0).stdout;
    assert!(text.contains(why), "{text}");
}

/// Writes are durable but not visible, and reads go on, across a restart.
async fn nothing_is_folded(bench: &mut Bench, why: &str) {
    let before = bench.checkpoints().await;
    let users = bench.api.all(100).await;
    bench.api.create(json!({})).header("Prefer", "respond-async").await.expect(202);
    refuses_requests(bench);
    // Killed and restarted.
    bench.deployment.launch(Service::Projector);
    bench.is_stopped(why).await;
    bench.api.create(json!({})).header("Prefer", "respond-async").await.expect(202);
    assert_eq!(bench.checkpoints().await, before);
    assert_eq!(bench.api.all(100).await, users);
}

/// Only a running projector resolves dead letters.
fn refuses_requests(bench: &Bench) {
    if let Some(letter) = bench.letters().first() {
        let refused = bench.dead_letters(&["discard", letter["id"].as_str().unwrap()]).expect(1);
        assert!(refused.stderr.contains("projection resume"), "{refused:?}");
    }
}

async fn goes_on(bench: &Bench) {
    assert_eq!(bench.pause(), Value::Null);
    bench.all_partitions_go_on().await;
    // Writes of the meantime are visible too.
    let log = bench.deployment.topic("users.events").await;
    let written = log.iter().filter(|record| record.header("ce_type") == "user.created.v1").count();
    until("everything written is visible", async || {
        (bench.api.all(100).await.len() == written).then_some(())
    })
    .await;
}
