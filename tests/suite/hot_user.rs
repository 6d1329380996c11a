//! Many clients change one user at once. Each succeeds in turn, and no useless events fill the log.

use futures_util::future::join_all;
use serde_json::json;
use tests::{Api, Deployment, Record, RedisServer, Service, Stack, fold};

/// The number of writers, and of writes of each.
const WRITERS: usize = 64;
const WRITES: usize = 3;
/// The last write must not be answered 202 on a slow machine.
const PATIENT: (&str, &str) = ("ROLLCALL_VISIBILITY_TIMEOUT", "110s");

pub async fn writers_of_one_instance_take_turns(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start_with(stack, &redis.url(), &[PATIENT]).await;
    let api = deployment.tenant();
    let id = api.user(json!({})).await;
    let versions = change(std::slice::from_ref(&api), &id).await;
    assert_eq!(versions, (2..2 + (WRITERS * WRITES) as u64).collect::<Vec<_>>());
    let log = facts(&deployment.log().await, &api, &id);
    assert_eq!(log.len(), 1 + versions.len());
    assert!(fold(&log).rejected.is_empty(), "no write within one instance is superseded");
}

pub async fn async_writers_take_turns_too(stack: &'static Stack) {
    let api = stack.tenant();
    let id = api.user(json!({})).await;
    let put = |n: u64| api.update(&id, json!({ "claims": { "n": n } })).header("Prefer", "respond-async");
    let answers = join_all((0..16).map(|n| async move { put(n).await.expect(202) })).await;
    let mut versions: Vec<_> = answers.iter().map(tests::Answer::version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..18).collect::<Vec<_>>());
    let last = answers.iter().max_by_key(|answer| answer.version()).expect("16 answers");
    let read = api.get(&id).header("Read-After", last.header("log-position")).await.expect(200);
    assert_eq!(read.version(), 17, "each had its effect");
}

pub async fn concurrent_repeats_of_a_key_append_one_event(stack: &'static Stack) {
    let api = stack.tenant();
    let post = || api.create(json!({ "claims": { "a": 1 } })).header("Idempotency-Key", "one");
    let answers = join_all((0..16).map(|_| async { post().await })).await;
    let id = answers[0].id();
    assert!(answers.iter().all(|answer| answer.id() == id));
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let log = facts(&stack.log().await, &api, &id);
    assert_eq!(log.len(), 1);
}

pub async fn writers_of_two_instances_all_succeed(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start_with(stack, &redis.url(), &[PATIENT]).await;
    deployment.launch_instance(Service::Command, 1, &[]);
    deployment.ready_instance(Service::Command, 1).await;
    let one = deployment.tenant();
    let (reads, writes) = (deployment.url(Service::Query), deployment.instance_url(Service::Command, 1));
    let other = Api::new(&reads, &writes, &one.tenant, one.token.as_deref().expect("a tenant has a token"));
    let id = one.user(json!({})).await;
    let versions = change(&[one.clone(), other], &id).await;
    assert_eq!(versions, (2..2 + (WRITERS * WRITES) as u64).collect::<Vec<_>>());
    let log = facts(&deployment.log().await, &one, &id);
    let superseded = fold(&log).rejected.len();
    assert!(superseded < 4 * versions.len(), "{superseded} events without effect for {}", versions.len());
}

/// Runs all writers, spread over the clients. Returns the versions that they made, in order. No
/// write may be rejected.
async fn change(apis: &[Api], id: &str) -> Vec<u64> {
    let writers = (0..WRITERS).map(async |writer| {
        let mut versions = Vec::new();
        for n in 0..WRITES {
            let claims = json!({ "writer": writer, "n": n });
            let answer = apis[writer % apis.len()].update(id, json!({ "claims": claims })).await.expect(200);
            assert_eq!(answer.json()["claims"], claims, "an answer shows its own event");
            versions.push(answer.version());
        }
        assert!(versions.is_sorted(), "a writer's own writes keep their order");
        versions
    });
    let mut versions = join_all(writers).await.concat();
    versions.sort_unstable();
    versions
}

/// The user's events in the log.
fn facts(records: &[Record], api: &Api, id: &str) -> Vec<Record> {
    let key = format!("{}/{id}", api.tenant);
    records.iter().filter(|record| record.key == key).cloned().collect()
}
