//! The cost of `/health/ready` does not depend on the number of clients, and it reports what does
//! not work.

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};
use tests::{Api, Deployment, RedisServer, Service, Stack, until};

/// The number of clients of the health check, each with a persistent connection.
const CALLERS: usize = 200;
/// The fewest writes meanwhile.
const WRITES: usize = 20;

pub async fn many_health_checks_cost_no_write(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, url) = (deployment.tenant(), deployment.url(Service::Command));
    let http = Client::builder().no_proxy().build().unwrap();
    let (is_over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let caller = async || {
        while !is_over.load(Ordering::Relaxed) {
            let answer = http.get(format!("{url}/health/ready")).send().await.unwrap();
            answer.bytes().await.unwrap();
            answers.fetch_add(1, Ordering::Relaxed);
        }
    };
    let (before, began) = (looks(&http, &url).await, Instant::now());
    let written = async {
        let mut count = 0;
        while count < WRITES || looks(&http, &url).await == before {
            let created = api.create(json!({})).await;
            assert!(matches!(created.status, 201 | 202), "a write is refused: {}", created.text());
            count += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(written, join_all((0..CALLERS).map(|_| caller())));
    // If something is slow and the answer is no, it is reused for a quarter of a second. It is
    // never checked more often.
    let (looked, seconds) = (looks(&http, &url).await - before, began.elapsed().as_secs() + 1);
    assert!(looked >= 1 && looked <= 4 * seconds, "{looked} looks in {seconds} s");
    assert!(answers.load(Ordering::Relaxed) >= 2 * looked, "{looked} looks for {answers:?} answers");
}

/// How often the dependencies were checked.
async fn looks(http: &Client, url: &str) -> u64 {
    let metrics = http.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("rollcall_health_looks_total "));
    line.expect("looks are counted").parse().unwrap()
}

/// The health of a dependency, and the status of the answer.
async fn part(deployment: &Deployment, service: Service, name: &str) -> Option<(u16, Value)> {
    let answer = reqwest::get(format!("{}/health/ready", deployment.url(service))).await.ok()?;
    let status = answer.status().as_u16();
    let report: Value = answer.json().await.ok()?;
    Some((status, report["dependencies"][name].clone()))
}

/// Waits until a service reports this about a dependency.
async fn says(deployment: &Deployment, service: Service, name: &str, status: u16, words: &str) {
    until(&format!("{service:?} says of {name}: {words}"), async || {
        let (now, part) = self::part(deployment, service, name).await?;
        (now == status && part.to_string().contains(words)).then_some(())
    })
    .await;
}

pub async fn a_read_only_database_is_not_ready_for_writes(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let name = deployment.prefix.trim_end_matches('.');
    // Existing sessions can still write, new ones can't.
    let mut session = deployment.database.acquire().await.unwrap();
    let on = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    sqlx::query(AssertSqlSafe(on)).execute(&mut *session).await.unwrap();
    for service in [Service::Command, Service::Projector] {
        says(&deployment, service, "postgres", 503, "nothing can be written").await;
    }
    says(&deployment, Service::Query, "postgres", 200, "up").await;
    let off = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    sqlx::query(AssertSqlSafe(off)).execute(&mut *session).await.unwrap();
    for service in Service::ALL {
        says(&deployment, service, "postgres", 200, "up").await;
    }
}

pub async fn a_read_only_redis_is_reported(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let soon = [("ROLLCALL_VISIBILITY_TIMEOUT", "2s")];
    let deployment = Deployment::start_with(stack, &redis.url(), &soon).await;
    let api = deployment.tenant();
    // Nobody is at the other end.
    let replica = format!("REPLICAOF 127.0.0.1 {}", tests::free_port());
    for (no_writes, writes, words) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "it is full"),
        (replica.as_str(), "REPLICAOF NO ONE", "it is a read-only replica"),
    ] {
        let id = api.user(json!({})).await;
        redis.command(no_writes).await;
        says(&deployment, Service::Projector, "redis", 200, words).await;
        api.get(&id).await.expect(200);
        api.delete(&id).await.expect(202);
        is_gone(&api, &id).await;
        redis.command(writes).await;
        says(&deployment, Service::Projector, "redis", 200, "up").await;
    }
}

async fn is_gone(api: &Api, id: &str) {
    until("the user is gone", async || (api.get(id).await.status == 404).then_some(())).await;
}
