//! Redis is frozen, flushed, killed and restored from an old snapshot under load. Nothing is wrong,
//! only slower.

use super::watch::Watch;
use tests::{Deployment, RedisServer, Stack};

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
