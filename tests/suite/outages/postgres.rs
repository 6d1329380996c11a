//! PostgreSQL is unreachable: requests that need it are answered in bounded time, and everything in
//! the log becomes visible later.

use super::{all_read, bench::Bench, bounded, ledger::retry_is_offered, read_or_told};
use futures_util::future::join_all;
use std::{collections::BTreeSet, time::Duration};
use tests::{Service, Stack, Way, until};

/// More concurrent requests than connections.
const CROWD: usize = 40;

pub async fn nothing_hangs_whatever_happens_to_postgres(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let id = bench.probe().await;
    for way in [Way::Refused, Way::Frozen, Way::Slow(Duration::from_millis(100)), Way::OldFrozen] {
        bench.postgres.set(way);
        crowd(&bench, &id).await;
        if matches!(way, Way::Refused | Way::Frozen) {
            bench.lacks(Service::Query, &["postgres"], &["redis"]).await;
            bench.lacks(Service::Command, &["postgres"], &["keys"]).await;
            bench.lacks(Service::Projector, &["postgres"], &["keys"]).await;
            bench.postgres.set(Way::Open);
        }
        heals(&mut bench, &id).await;
        bench.postgres.set(Way::Open);
    }
    for _ in 0..3 {
        tokio::join!(crowd(&bench, &id), terminate(&bench, ""));
        heals(&mut bench, &id).await;
    }
    bench.check().await;
}

/// Reads and writes of many clients at once.
async fn crowd(bench: &Bench, id: &str) {
    let read = join_all((0..CROWD).map(|_| read_or_told(&bench.api, id)));
    let written = join_all((0..CROWD).map(|_| bench.ledger.create(&bench.api)));
    tokio::join!(read, written);
}

/// It recovers by itself: no connection is lost for later requests.
async fn heals(bench: &mut Bench, id: &str) {
    bench.ready().await;
    bench.ledger.works(&bench.api).await;
    until("a crowd of reads finds everything", async || {
        let all = join_all((0..CROWD).map(|_| bounded("a list", bench.api.list("limit=2")))).await;
        all.iter().all(|answer| answer.status == 200).then_some(())
    })
    .await;
    all_read(&bench.api, id).await;
}

/// Terminates the deployment's connections with such an application name, except the test's own.
async fn terminate(bench: &Bench, name: &str) -> usize {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name LIKE 'rollcall%' || $1 AND pid <> pg_backend_pid()";
    sqlx::query(sql).bind(name).fetch_all(&bench.deployment.database).await.unwrap().len()
}

pub async fn a_full_pool_is_503(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let id = bench.probe().await;
    all_read(&bench.api, &id).await;
    bench.postgres.set(Way::Slow(Duration::from_secs(1)));
    let answers = join_all((0..2 * CROWD).map(|_| bounded("a list", bench.api.list("limit=2")))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(!refused.is_empty(), "not everyone has a connection in time");
    refused.into_iter().for_each(retry_is_offered);
    bench.postgres.set(Way::Open);
    heals(&mut bench, &id).await;
    bench.check().await;
}

pub async fn a_lost_listener_reconnects(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let id = bench.probe().await;
    let before = listeners(&bench).await;
    assert!(before.len() >= Service::ALL.len(), "each service listens: {before:?}");
    assert_eq!(terminate(&bench, "progress").await, before.len());
    writes_are_seen(&bench).await;
    let after = others_listen(&bench, &before).await;

    // A vanished client: the server still considers the connection open.
    bench.postgres.set(Way::OldFrozen);
    others_listen(&bench, &after).await;
    heals(&mut bench, &id).await;
    writes_are_seen(&bench).await;
    bench.check().await;
}

/// Positions are polled if no notifications arrive.
async fn writes_are_seen(bench: &Bench) {
    for _ in 0..10 {
        assert_eq!(bench.ledger.create(&bench.api).await, 201);
    }
}

/// Waits until this many other connections listen. Returns all that do.
async fn others_listen(bench: &Bench, before: &BTreeSet<i32>) -> BTreeSet<i32> {
    until("others listen in their place", async || {
        let now = listeners(bench).await;
        (now.difference(before).count() >= before.len().min(Service::ALL.len())).then_some(now)
    })
    .await
}

async fn listeners(bench: &Bench) -> BTreeSet<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%progress'";
    sqlx::query_scalar(sql).fetch_all(&bench.deployment.database).await.unwrap().into_iter().collect()
}
