//! Services that start before their dependencies.

use super::{all_read, bench::Bench};
use tests::{Service, Stack, Way};

pub async fn services_may_start_before_their_servers(stack: &'static Stack) {
    let (mut first, mut second) = tokio::join!(without_servers(stack), without_servers(stack));
    tokio::join!(kafka_last(&mut first), postgres_last(&mut second));
}

/// The services run and report what is missing.
async fn without_servers(stack: &'static Stack) -> Bench {
    let mut bench = Bench::prepare(stack).await;
    for proxy in [&bench.kafka, &bench.postgres, &bench.redis] {
        proxy.set(Way::Refused);
    }
    Service::ALL.into_iter().for_each(|service| bench.launch(service));
    bench.lacks(Service::Command, &["kafka", "keys", "postgres", "readModel"], &[]).await;
    bench.lacks(Service::Query, &["postgres", "readModel", "redis"], &[]).await;
    bench.lacks(Service::Projector, &["kafka", "keys", "postgres", "projector", "redis"], &[]).await;
    bench
}

async fn kafka_last(bench: &mut Bench) {
    bench.postgres.set(Way::Open);
    bench.redis.set(Way::Open);
    bench.lacks(Service::Projector, &["kafka", "projector"], &["keys", "redis"]).await;
    bench.kafka.set(Way::Open);
    works(bench).await;
}

async fn postgres_last(bench: &mut Bench) {
    bench.kafka.set(Way::Open);
    bench.lacks(Service::Projector, &["postgres", "projector"], &["kafka", "keys", "redis"]).await;
    bench.redis.set(Way::Open);
    bench.postgres.set(Way::Open);
    works(bench).await;
}

async fn works(bench: &mut Bench) {
    bench.ready().await;
    bench.ledger.works(&bench.api).await;
    let id = bench.probe().await;
    all_read(&bench.api, &id).await;
    bench.check().await;
}
