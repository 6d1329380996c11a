//! Recreated topics are another log. It is never mistaken for the folded one, and its positions
//! differ from the old ones.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use serde_json::{Value, json};
use tests::{Api, Call, Deployment, Foreign, RedisServer, Service, Stack, fold, until};
use uuid::Uuid;

const TOPICS: [&str; 2] = ["users.events", "users.credentials"];
/// The settings of the domain topics.
const KEPT: [(&str, &str); 4] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("compression.type", "uncompressed"),
];
const NOT_FOLDED: &str = "the log is not the one that was folded";
const NO_MORE: &str = "The position belongs to a log that no longer exists";

/// Deletes the log and recreates it as empty topics with the same names and settings.
pub async fn make_log_anew(stack: &Stack, deployment: &Deployment) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", stack.var("KAFKA_BROKERS")).create().unwrap();
    let (names, options) = (TOPICS.map(|name| format!("{}{name}", deployment.prefix)), AdminOptions::new());
    for deleted in admin.delete_topics(&names.each_ref().map(String::as_str), &options).await.unwrap() {
        deleted.expect("the topic is deleted");
    }
    for name in &names {
        let topic = NewTopic::new(name, 4, TopicReplication::Fixed(1));
        let topic = KEPT.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        until("the topic is there again", async || {
            let made = admin.create_topics([&topic], &options).await.unwrap();
            made.into_iter().all(|topic| topic.is_ok()).then_some(())
        })
        .await;
    }
}

/// Waits until the projector's health reports another log.
pub async fn is_halted(deployment: &Deployment) {
    let url = format!("{}/health/ready", deployment.url(Service::Projector));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    until("the projector says that it is another log", async || {
        let answer = http.get(&url).send().await.ok()?;
        (answer.status() == 503 && answer.text().await.ok()?.contains(NOT_FOLDED)).then_some(())
    })
    .await;
}

/// What the live generation records about the log.
async fn folded(deployment: &Deployment) -> Vec<Value> {
    let rows = "SELECT to_jsonb(c) FROM (SELECT generation, log_epoch, topic, partition, next_offset FROM live.checkpoints \
        ORDER BY topic, partition) c";
    sqlx::query_scalar(rows).fetch_all(&deployment.database).await.unwrap()
}

/// A new user's event by another writer: unsealed.
fn created(tenant: &str, n: u32) -> Foreign {
    let data = json!({ "createdAt": "2024-01-01T00:00:00.000Z", "personal": { "claims": { "log": "new", "n": n } } });
    let event = Foreign::event(&format!("{tenant}/{}", Uuid::new_v4()), "user.created.v1", data.to_string());
    event.header("ce_sequence", "1")
}

/// One request of each read operation.
fn every_read(api: &Api, id: &str) -> [Call; 4] {
    [api.get(id), api.list(""), api.search(json!({ "claims": { "log": "new" } })), api.credentials(id, "")]
}

/// The answer must not report a successful write.
async fn without_effect(write: Call) {
    let answer = write.await;
    assert!(matches!(answer.status, 202 | 503), "{}: {}", answer.status, answer.text());
}

/// Rebuilds, as the message of the halted projector says.
pub async fn rebuild(deployment: &Deployment) {
    let cli = deployment.cli.clone();
    tokio::task::spawn_blocking(move || cli.run(&["projection", "rebuild", "--promote", "--json"]))
        .await
        .unwrap()
        .expect(0);
}

pub async fn a_recreated_log_is_detected(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let settings = [("ROLLCALL_VISIBILITY_TIMEOUT", "1s")];
    let deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
    let (api, lost) = (deployment.tenant(), deployment.tenant());
    let created = api.create(json!({ "claims": { "log": "old" } })).await.expect(201);
    let (id, position) = (created.id(), created.header("log-position").to_owned());
    assert_eq!(position.split(':').count(), 2, "the first log is not named: {position}");
    let before = folded(&deployment).await;

    make_log_anew(stack, &deployment).await;
    // At once, before anybody has noticed, and into every partition, including those that the old
    // log did not use.
    let creates = (0..24).map(|n| without_effect(lost.create(json!({ "claims": { "n": n } }))));
    futures_util::future::join_all(creates).await;
    is_halted(&deployment).await;
    without_effect(api.update(&id, json!({ "claims": { "log": "lost" } }))).await;
    assert_eq!(folded(&deployment).await, before, "nothing of the new log was folded");
    assert_eq!(api.get(&id).header("Read-After", &position).await.expect(200).json()["claims"]["log"], "old");
    assert_eq!(api.list("").await.expect(200).ids(), [id.as_str()]);

    rebuild(&deployment).await;
    begins_anew(&api, &position, &id).await;
}

/// The new log counts from its first write on, and positions of the old one are rejected.
async fn begins_anew(api: &Api, old_position: &str, old_id: &str) {
    let created = until("users can be written again", async || {
        let answer = api.create(json!({ "claims": { "log": "new" } })).await;
        (answer.status == 201).then_some(answer)
    })
    .await;
    let (id, position) = (created.id(), created.header("log-position").to_owned());
    assert_eq!(position.rsplit(':').next(), Some("2"), "the second log is named: {position}");
    assert_eq!(position.split(':').count(), 3);
    for read in every_read(api, &id) {
        read.header("Read-After", &position).await.expect(200);
    }
    let later = format!("{}:3", position.rsplit_once(':').unwrap().0);
    for bad in [old_position, &later] {
        for read in every_read(api, &id) {
            let detail = read.header("Read-After", bad).await.expect(400).detail();
            let said = ["value", "msg", "param", "location"].map(|name| detail[name].as_str().unwrap());
            assert_eq!(said, [bad, NO_MORE, "Read-After", "headers"]);
        }
    }
    api.get(old_id).await.expect(404);
    let next = api.update(&id, json!({ "claims": { "log": "newer" } })).await.expect(200);
    assert!(next.header("log-position").ends_with(":2"));
    api.get(&id).header("Read-After", next.header("log-position")).await.expect(200);
}

pub async fn a_longer_recreated_log_is_detected(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "log": "old" })).await;
    let before = folded(&deployment).await;

    deployment.stop(Service::Projector);
    make_log_anew(stack, &deployment).await;
    let users: Vec<_> = (0..40).map(|n| created(&api.tenant, n)).collect();
    deployment.append("users.events", &users).await;
    let log = deployment.log().await;
    for partition in 0..4 {
        let length = log.iter().filter(|record| record.partition == partition).count();
        assert!(length > 1, "partition {partition} is longer than the old one was: {length}");
    }
    deployment.launch(Service::Projector);
    is_halted(&deployment).await;
    assert_eq!(folded(&deployment).await, before, "nothing of the new log was folded");
    assert_eq!(api.list("").await.expect(200).ids(), [id.as_str()]);
    // A restart does not forget it either.
    deployment.stop(Service::Projector);
    deployment.launch(Service::Projector);
    is_halted(&deployment).await;

    rebuild(&deployment).await;
    deployment.ready(Service::Projector).await;
    until("the new log's users are there", async || (api.all(100).await.len() == users.len()).then_some(()))
        .await;
    assert_eq!(api.all(100).await, fold(&log).page(&api.tenant));
    assert!(api.create(json!({})).await.expect(201).header("log-position").ends_with(":2"));
}
