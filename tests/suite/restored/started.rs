//! Everything is stopped, PostgreSQL and Redis are restored, and the services start one after the
//! other.

use super::{CATCHING_UP, SLOWLY, backup::Backup, catches_up, health, is_not_shown, is_told_to_wait};
use serde_json::json;
use std::collections::BTreeSet;
use tests::{Api, Deployment, RedisServer, Service, Stack, new_database, until};

/// The number of records after the backup: some batches.
const TAIL: u32 = 4_000;

pub async fn a_restored_database_shows_no_deleted_user(stack: &'static Stack) {
    let mut redis = RedisServer::start().await;
    // Keys are not restored: newer ones would be lost, and with them what is sealed under them.
    let (keys, _) = new_database(stack, &format!("k{}", uuid::Uuid::new_v4().simple())).await;
    let settings = [("ROLLCALL_KEYS_DATABASE_URL", keys.as_str())];
    let mut deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
    let api = deployment.tenant();
    let deleted = api.user(json!({ "kind": "probe" })).await;
    let repeat = || api.create(json!({ "claims": { "kind": "repeat" } })).header("Idempotency-Key", "once");
    let repeated = repeat().await.expect(201).id();

    stop(&mut deployment);
    redis.command("SAVE").await;
    let backup = Backup::take(stack, &deployment).await;
    start(&mut deployment).await;
    import(&deployment, &api);
    let later = api.user(json!({ "kind": "later" })).await;
    for id in [&deleted, &repeated] {
        api.delete(id).await.expect(204);
    }
    stop(&mut deployment);
    backup.restore().await;
    redis.kill();
    redis.restart().await;

    // No projector runs yet that could report the end of the log.
    deployment.launch(Service::Query);
    deployment.launch(Service::Command);
    for service in [Service::Query, Service::Command] {
        catches_up(&deployment, service, "not confirmed yet").await;
    }
    assert!(is_not_shown(&api, &deleted).await, "every read waits");
    // What the log may contradict is no reason to refuse a write, nor an answer to a repeated one.
    // The key of a user that was deleted is not missing.
    let known_too_well = api.update(&deleted, json!({ "claims": {} })).await;
    for refusal in [
        repeat().await,
        api.delete(&later).await,
        api.update(&later, json!({ "claims": {} })).await,
        known_too_well,
    ] {
        assert!(is_told_to_wait(&refusal), "{} {}", refusal.status, refusal.text());
    }

    deployment.launch_instance(Service::Projector, 0, &[SLOWLY]);
    let reasons = watch_until_ready(&deployment, &api, &deleted).await;
    assert!(reasons.iter().any(|reason| reason.contains("records are folded")), "{reasons:?}");
    api.get(&deleted).await.expect(404);
    api.get(&later).await.expect(200);
    for service in Service::ALL {
        deployment.ready(service).await;
    }
    repeat().await.expect(409);
    api.update(&later, json!({ "claims": {} })).await.expect(200);
    assert_eq!(api.all(1_000).await.len(), usize::try_from(TAIL).unwrap() + 1);
    let user = ["erasure", "prove", "--tenant", &api.tenant, "--user", &deleted];
    deployment.cli.run(&user).expect(0);
}

fn stop(deployment: &mut Deployment) {
    Service::ALL.into_iter().for_each(|service| deployment.stop(service));
}

async fn start(deployment: &mut Deployment) {
    Service::ALL.into_iter().for_each(|service| deployment.launch(service));
    for service in Service::ALL {
        deployment.ready(service).await;
    }
}

fn import(deployment: &Deployment, api: &Api) {
    let line = |n| json!({ "claims": { "n": n } }).to_string() + "\n";
    let lines: String = (0..TAIL).map(line).collect();
    deployment.cli.run_with(&["log", "import", "-", "--tenant", &api.tenant], &lines).expect(0);
}

/// Reads until the query service is ready. Returns what it reported before.
async fn watch_until_ready(deployment: &Deployment, api: &Api, deleted: &str) -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    until("the query service is ready", async || {
        is_not_shown(api, deleted).await;
        let (status, reason) = health(deployment, Service::Query, "readModel").await?;
        reasons.extend(reason);
        (status == 200).then_some(())
    })
    .await;
    assert!(reasons.iter().all(|reason| reason.contains(CATCHING_UP)), "{reasons:?}");
    reasons
}
