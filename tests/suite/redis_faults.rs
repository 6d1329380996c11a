//! Redis is frozen, flushed, killed and restored from an old snapshot under load. Nothing is wrong,
//! only slower.

use super::watch::Watch;
use serde_json::json;
use tests::{Deployment, RedisServer, Service, Stack, until};

const READERS: usize = 3;

pub async fn no_read_is_stale_whatever_happens_to_redis(stack: &'static Stack) {
    let mut redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    // So that a lost cache is written in several chunks, while the watched user changes.
    let others = "{\"claims\":{}}\n".repeat(2_600);
    deployment
        .cli
        .run_with(&["log", "import", "-", "--tenant", &deployment.tenant().tenant], &others)
        .expect(0);
    let watch = Watch::new(vec![api.clone()], vec![api; READERS]).await;
    let faults = async {
        torment(&mut redis, &watch).await;
        watch.stop();
    };
    tokio::join!(faults, watch.run());
}

async fn torment(redis: &mut RedisServer, watch: &Watch) {
    watch.further("Redis is well").await;
    redis.command("SAVE").await;
    watch.further("Redis is saved").await;
    for _ in 0..2 {
        redis.freeze();
        watch.further("Redis is frozen").await;
        redis.thaw();
        watch.further("Redis is thawed").await;
    }
    redis.command("FLUSHALL").await;
    watch.further("Redis is flushed").await;
    redis.kill();
    watch.further("Redis is dead").await;
    // From the first snapshot, with older versions and leases.
    redis.restart().await;
    watch.further("Redis is back with an old snapshot").await;
    redis.kill();
    redis.restart().await;
    watch.further("Redis is back again at once").await;
}

pub async fn a_malformed_value_is_replaced(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "n": 1 })).await;
    let key = until("the user is cached", async || {
        api.get(&id).await.expect(200);
        redis.keys(&format!("*{id}")).await.pop()
    })
    .await;
    redis.set(&key, "not ours").await;
    let updated = api.update(&id, json!({ "claims": { "n": 2 } })).await.expect(200);
    assert_eq!((updated.version(), api.get(&id).await.expect(200).version()), (2, 2));
    until("the body is cached again", async || redis.get(&key).await?.starts_with("2\n{").then_some(()))
        .await;
    let log = std::fs::read_to_string(deployment.log_path(Service::Projector, 0)).unwrap();
    assert!(!log.contains("redis is lost"), "no commit waited for a lease: {log}");
}
