//! Several instances of each service start, stop, die and freeze under load. Nothing is lost,
//! duplicated, reordered or stale.

use super::watch::{Watch, Written};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Postgres, Row, Transaction};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tests::{Deployment, Model, Record, RedisServer, Service, Stack, fold, until};

/// The partitions of test deployments.
const PARTITIONS: i32 = 4;
/// How many commits of frozen projectors must be fenced, and how often one is frozen at most.
const REFUSED: u64 = 2;
const ROUNDS: usize = 8;
/// How many clients create users, so that every batch has a user to load.
const CREATORS: usize = 4;
/// Longer than any write may take: the visibility timeout, plus the delay of a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn positions_come_from_any_projector(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start_many(stack, &redis.url(), 2, &[]).await;
    shared_by(&deployment, &[0, 1]).await;
    for command in deployment.urls(Service::Command) {
        let api = deployment.tenant_via(&command, &deployment.url(Service::Query));
        let mut seen = BTreeSet::new();
        until("a write to each partition was answered when it was visible", async || {
            let created = api.create(json!({})).await.expect(201);
            api.get(&created.id()).await.expect(200);
            seen.insert(created.position().0);
            (seen.len() == 4).then_some(())
        })
        .await;
    }
}

pub async fn a_frozen_projector_is_fenced_off(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start_many(stack, &redis.url(), 2, &[]).await;
    shared_by(&deployment, &[0, 1]).await;
    let (watches, is_over) = (watches(&deployment).await, AtomicBool::new(false));
    let faults = async {
        further(&watches, "all is well").await;
        // A commit that was sent before the freeze is not fenced. Then another round is needed.
        let (mut refused, mut victims) = (0, [0, 1].into_iter().cycle().take(ROUNDS));
        while refused < REFUSED {
            let victim = victims.next().expect("frozen with a batch in hand now and then");
            refused += freeze_and_thaw(&deployment, victim, &watches).await;
        }
        watches.iter().for_each(Watch::stop);
        is_over.store(true, Ordering::Relaxed);
    };
    let creators = (0..CREATORS).map(|_| create_users(&deployment, &is_over));
    tokio::join!(faults, join_all(watches.iter().map(Watch::run)), join_all(creators));
    check(&deployment, &watches).await;
}

/// A projector freezes while its rows are written but not committed. Its checkpoints are locked,
/// and PostgreSQL must not wait for it for ever.
pub async fn a_frozen_projector_does_not_keep_its_locks(stack: &'static Stack) {
    const OPEN: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() \
        AND state = 'idle in transaction' AND query LIKE 'WITH moved%'";
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "n": 1 })).await;
    deployment.stop(Service::Projector);
    let failpoint = [("FAILPOINTS", "fold.marked=1*off->sleep(600000)")];
    deployment.launch_instance(Service::Projector, 0, &failpoint);
    deployment.ready(Service::Projector).await;
    // The first batch waits for the leases of the former owner, and is written only then.
    api.update(&id, json!({ "claims": { "n": 2 } })).await.expect(200);

    let update = api.update(&id, json!({ "claims": { "n": 3 } }));
    update.header("Prefer", "respond-async").await.expect(202);
    until("the batch is written and not committed", async || {
        sqlx::query_scalar::<_, bool>(OPEN).fetch_one(&deployment.database).await.unwrap().then_some(())
    })
    .await;
    deployment.freeze(Service::Projector, 0);
    assert_eq!(api.get(&id).await.expect(200).json()["claims"]["n"], 2, "nobody sees it yet");

    deployment.launch_instance(Service::Projector, 1, &[]);
    until("another projector has folded it", async || {
        (api.get(&id).await.json()["claims"]["n"] == 3).then_some(())
    })
    .await;
    api.update(&id, json!({ "claims": { "n": 4 } })).await.expect(200);
    deployment.thaw(Service::Projector, 0);
    deployment.kill_instance(Service::Projector, 0);
    assert_eq!(api.get(&id).await.expect(200).json()["claims"]["n"], 4);
}

/// Creates users until the test is over. A projector loads the state of a new user, but not that of
/// a user whose version it remembers. What becomes of the creates does not matter.
async fn create_users(deployment: &Deployment, is_over: &AtomicBool) {
    let api = deployment.tenant();
    while !is_over.load(Ordering::Relaxed) {
        let _ = api.create(json!({})).await;
    }
}

/// Freezes a projector during a batch, waits until the other one has all partitions, and resumes
/// it. Returns how many of its commits were fenced.
async fn freeze_and_thaw(deployment: &Deployment, victim: usize, watches: &[Watch]) -> u64 {
    let (theirs, fenced) = (owned(deployment, victim).await, fenced(deployment, victim).await);
    let before = epochs(deployment).await;
    let lock = batches_in_hand(deployment).await;
    deployment.freeze(Service::Projector, victim);
    lock.rollback().await.unwrap();
    until("its partitions are another's", async || {
        let now = epochs(deployment).await;
        theirs.iter().all(|partition| now[partition] > before[partition]).then_some(())
    })
    .await;
    further(watches, "a projector is frozen").await;
    deployment.thaw(Service::Projector, victim);
    further(watches, "the frozen projector is back").await;
    shared_by(deployment, &[0, 1]).await;
    self::fenced(deployment, victim).await - fenced
}

/// Takes a lock that makes both projectors wait for the states of a batch that they have read.
async fn batches_in_hand(deployment: &Deployment) -> Transaction<'static, Postgres> {
    const WAITING: &str = "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database() \
        AND wait_event_type = 'Lock' AND query LIKE 'SELECT k.n, u.version%'";
    until("both projectors have a batch in hand", async || {
        let mut lock = deployment.database.begin().await.unwrap();
        sqlx::query("LOCK TABLE generation_1.users").execute(&mut *lock).await.unwrap();
        // A projector that was about to commit waits there instead, without a batch. It is let go
        // and met at its next batch.
        for _ in 0..40 {
            if sqlx::query_scalar::<_, bool>(WAITING).fetch_one(&deployment.database).await.unwrap() {
                return Some(lock);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        lock.rollback().await.unwrap();
        None
    })
    .await
}

pub async fn projectors_come_and_go_under_load(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    for service in [Service::Command, Service::Query] {
        deployment.launch_instance(service, 1, &[]);
        deployment.ready_instance(service, 1).await;
    }
    let watches = watches(&deployment).await;
    let changes = async {
        come_and_go(&mut deployment, &watches).await;
        watches.iter().for_each(Watch::stop);
    };
    tokio::join!(changes, join_all(watches.iter().map(Watch::run)));
    check(&deployment, &watches).await;
}

async fn come_and_go(deployment: &mut Deployment, watches: &[Watch]) {
    const P: Service = Service::Projector;
    settled(deployment, watches, &[0]).await;
    deployment.launch_instance(P, 1, &[]);
    settled(deployment, watches, &[0, 1]).await;
    deployment.launch_instance(P, 2, &[]);
    settled(deployment, watches, &[0, 1, 2]).await;
    deployment.stop_instance(P, 1);
    settled(deployment, watches, &[0, 2]).await;
    deployment.kill_instance(P, 2);
    settled(deployment, watches, &[0]).await;
    deployment.launch_instance(P, 2, &[]);
    settled(deployment, watches, &[0, 2]).await;
    // The first one may stop like any other.
    deployment.kill_instance(P, 0);
    settled(deployment, watches, &[2]).await;
    deployment.crash_instance(P, 0).await;
    settled(deployment, watches, &[0, 2]).await;
}

async fn settled(deployment: &Deployment, watches: &[Watch], projectors: &[usize]) {
    shared_by(deployment, projectors).await;
    further(watches, &format!("projectors {projectors:?} run")).await;
}

/// A watched user in each partition, written and read through all instances.
async fn watches(deployment: &Deployment) -> Vec<Watch> {
    let mut watches = BTreeMap::new();
    until("each partition has a user", async || {
        let (first, reads) = (deployment.tenant(), deployment.urls(Service::Query));
        let writers = deployment.urls(Service::Command).iter().map(|url| first.at(&reads[0], url)).collect();
        let readers = reads.iter().map(|url| first.at(url, &deployment.url(Service::Command))).collect();
        let watch = Watch::new(writers, readers).await;
        watches.insert(watch.partition, watch);
        (watches.len() == 4).then_some(())
    })
    .await;
    watches.into_values().collect()
}

async fn further(watches: &[Watch], state: &str) {
    join_all(watches.iter().map(|watch| watch.further(state))).await;
}

type Partition = (String, i32);

/// Waits until these projectors own all partitions, and both topics' partitions of a number have
/// the same owner.
async fn shared_by(deployment: &Deployment, projectors: &[usize]) {
    let all: BTreeSet<_> = (0..PARTITIONS).collect();
    until(&format!("projectors {projectors:?} share the partitions"), async || {
        let mut shared = Vec::new();
        for n in projectors {
            let owned = owned(deployment, *n).await;
            let of = |topic| owned.iter().filter(move |(of, _)| of == topic).map(|(_, number)| *number);
            let users: BTreeSet<_> = of("users").collect();
            (users == of("credentials").collect() && !users.is_empty()).then_some(())?;
            shared.extend(users);
        }
        (shared.len() == all.len() && shared.into_iter().collect::<BTreeSet<_>>() == all).then_some(())
    })
    .await;
}

/// The partitions that a projector reports as its own.
async fn owned(deployment: &Deployment, n: usize) -> BTreeSet<Partition> {
    let metrics = metrics(deployment, n).await;
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("rollcall_projector_lag_records"));
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    lines.filter_map(|line| Some((label(line, "topic")?, label(line, "partition")?.parse().ok()?))).collect()
}

/// How many commits of a projector were fenced.
async fn fenced(deployment: &Deployment, n: usize) -> u64 {
    let metrics = metrics(deployment, n).await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("rollcall_projector_fenced_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

async fn metrics(deployment: &Deployment, n: usize) -> String {
    let url = format!("{}/metrics", deployment.instance_url(Service::Projector, n));
    match reqwest::get(url).await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        // It has just been started.
        Err(_) => String::new(),
    }
}

async fn epochs(deployment: &Deployment) -> BTreeMap<Partition, i64> {
    let rows =
        sqlx::query_as::<_, (String, i32, i64)>("SELECT topic, partition, epoch FROM live.checkpoints");
    let rows = rows.fetch_all(&deployment.database).await.unwrap();
    rows.into_iter().map(|(topic, partition, epoch)| ((topic, partition), epoch)).collect()
}

/// Checks that answered writes are in the log, and that the final state follows from it.
async fn check(deployment: &Deployment, watches: &[Watch]) {
    let log = deployment.log().await;
    let model = fold(&log);
    for watch in watches {
        watch.written().iter().for_each(|written| check_written(&watch.key(), written, &log, &model));
    }
    let users = model.users.iter().map(|(key, user)| {
        (
            key.clone(),
            (i64::try_from(user.version).unwrap(), user.personal.as_ref().unwrap()["claims"].clone()),
        )
    });
    let users: BTreeMap<_, _> = users.collect();
    until("the read model follows from the log", async || (rows(deployment).await == users).then_some(()))
        .await;
    let rejections = "SELECT partition, log_offset FROM live.rejections";
    let rejections: Vec<(i32, i64)> =
        sqlx::query_as(rejections).fetch_all(&deployment.database).await.unwrap();
    assert_eq!(rejections.into_iter().collect::<BTreeSet<_>>(), model.rejected);
}

fn check_written(key: &str, written: &Written, log: &[Record], model: &Model) {
    let at = log.binary_search_by_key(&written.position, |record| (record.partition, record.offset));
    let record = at.map(|at| &log[at]).unwrap_or_else(|_| panic!("lost: {written:?}"));
    assert_eq!((record.key.as_str(), &record.json()["personal"]["claims"]["n"]), (key, &json!(written.n)));
    let took = written.answered - written.sent;
    assert!(took < PATIENCE, "answered after {took:?}: {written:?}");
    if written.status == 200 {
        assert!(!model.rejected.contains(&written.position), "answered and not accepted: {written:?}");
        assert_eq!(record.header("ce_sequence"), written.version.to_string());
    }
}

/// Version and claims of every user that reads show.
async fn rows(deployment: &Deployment) -> BTreeMap<String, (i64, Value)> {
    let rows = sqlx::query("SELECT tenant_id || '/' || id AS key, version, claims FROM live.users");
    let rows = rows.fetch_all(&deployment.database).await.unwrap();
    rows.iter().map(|row| (row.get("key"), (row.get("version"), row.get("claims")))).collect()
}
