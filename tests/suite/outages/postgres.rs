//! Postgres goes away: whoever needs it is told so in bounded time, and whatever the log took becomes visible.

use super::{all_read, bench::Bench, bounded, ledger::retry_is_offered, read_or_told};
use futures_util::future::join_all;
use std::{collections::BTreeSet, time::Duration};
use tests::{Service, Stack, Way, until};

/// More requests at once than there are connections.
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

/// By itself: no connection is lost to those that come after.
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

/// Ends the server's processes for the deployment's connections with such a name, but ours.
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

pub async fn a_lost_listener_comes_back(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let id = bench.probe().await;
    let before = listeners(&bench).await;
    assert!(before.len() >= Service::ALL.len(), "each service listens: {before:?}");
    assert_eq!(terminate(&bench, "progress").await, before.len());
    writes_are_seen(&bench).await;
    let after = others_listen(&bench, &before).await;

    // Lost without a word: the server still thinks that it is there.
    bench.postgres.set(Way::OldFrozen);
    others_listen(&bench, &after).await;
    heals(&mut bench, &id).await;
    writes_are_seen(&bench).await;
    bench.check().await;
}

/// Progress is asked for where it is not heard.
async fn writes_are_seen(bench: &Bench) {
    for _ in 0..10 {
        assert_eq!(bench.ledger.create(&bench.api).await, 201);
    }
}

/// Waits until as many others listen; all that listen then.
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
