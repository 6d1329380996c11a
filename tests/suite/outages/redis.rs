//! Redis is unreachable: everything works, only more slowly.

use super::{all_read, bench::Bench};
use serde_json::Value;
use std::time::Duration;
use tests::{Stack, Way, until};

pub async fn everything_goes_on_without_redis(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let id = bench.probe().await;
    is_used(&bench, &id).await;
    for way in [Way::Refused, Way::Frozen, Way::Slow(Duration::from_millis(300)), Way::OldFrozen] {
        bench.redis.set(way);
        goes_on(&bench, &id).await;
        bench.redis.set(Way::Open);
        is_used(&bench, &id).await;
    }
    bench.redis_server.command("FLUSHALL").await;
    goes_on(&bench, &id).await;
    is_used(&bench, &id).await;
    bench.redis_server.kill();
    goes_on(&bench, &id).await;
    bench.redis_server.restart().await;
    is_used(&bench, &id).await;
    bench.check().await;
}

/// All reads and writes work while the cache fails. A write may wait for the last lease, but is
/// visible in time.
async fn goes_on(bench: &Bench, id: &str) {
    for _ in 0..5 {
        all_read(&bench.api, id).await;
        let status = bench.ledger.create(&bench.api).await;
        assert!(matches!(status, 201 | 202), "writes need no cache: {status}");
    }
    bench.ledger.works(&bench.api).await;
}

/// The cache answers reads again, and agrees with the read model.
async fn is_used(bench: &Bench, id: &str) {
    let before = bench.hits().await;
    until("the cache answers reads", async || {
        all_read(&bench.api, id).await;
        (bench.hits().await > before).then_some(())
    })
    .await;
    until("the cache is level", async || {
        let status = bench.deployment.cli.run(&["projection", "status", "--json"]).expect(0).json();
        let mut partitions = status["partitions"].as_array().unwrap().iter();
        let is_level = |one: &Value| one["topic"] != "users" || one["redisNext"] == one["nextOffset"];
        partitions.all(is_level).then_some(())
    })
    .await;
}
