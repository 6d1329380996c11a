//! No event is in the log twice, whatever happens to the broker meanwhile.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tests::{Api, Deployment, Foreign, Record, Server, Service, Stack, scratch, until};
use tokio::time::{Instant, sleep_until};

/// Settings for one batch of events that time out at different times: a batch waits 4 s to fill,
/// and an event times out after 12 s.
const SLOW: [(&str, &str); 2] =
    [("ROLLCALL_KAFKA__LINGER_MS", "4000"), ("ROLLCALL_KAFKA__MESSAGE_TIMEOUT_MS", "12000")];
/// When the second event joins the batch, and when the broker freezes: before the batch is sent.
const SECOND: Duration = Duration::from_secs(3);
const FREEZE: Duration = Duration::from_millis(3_300);
/// When the broker resumes. By then the first event has timed out and the second has not. The batch
/// with both is in the broker's socket.
const THAW: Duration = Duration::from_secs(13);

pub async fn a_frozen_broker_appends_a_batch_once() {
    let start = || &*Box::leak(Box::new(Stack::start(&scratch("twice"))));
    let stack: &'static Stack = tokio::task::spawn_blocking(start).await.unwrap();
    let settings = [("ROLLCALL_PARTITIONS", "1")];
    let mut deployment = Deployment::start_with(stack, stack.var("REDIS_URL"), &settings).await;
    deployment.launch_instance(Service::Command, 0, &SLOW);
    deployment.ready(Service::Command).await;
    let api = deployment.tenant();
    written(&deployment, &api).await;

    let began = Instant::now();
    let frozen = async {
        sleep_until(began + FREEZE).await;
        Server::Kafka.freeze(stack);
        sleep_until(began + THAW).await;
        Server::Kafka.thaw(stack);
    };
    let second = async {
        sleep_until(began + SECOND).await;
        api.create(json!({})).attempt().await
    };
    let first = api.create(json!({})).attempt();
    let _ = tokio::join!(first, second, frozen);

    written(&deployment, &api).await;
    let events = deployment.topic("users.events").await;
    let analytics = deployment.topic("users.analytics").await;
    assert_eq!((repeated(&events), repeated(&analytics)), (vec![], vec![]));
    let starts = analytics.iter().filter(|event| event.header("ce_type") == "USER_CREATE_START").count();
    assert!(starts >= 4, "the broker was away for less than the recorder waits, so no START is lost");
    drop(deployment);
    stack.stop().unwrap();
}

/// Imitates a broker that ends a transaction without its markers: the events are there, but the
/// committed offsets are the old ones.
pub async fn a_success_derived_twice_is_written_once(stack: &'static Stack) {
    let mut deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    let api = deployment.tenant();
    for _ in 0..6 {
        written(&deployment, &api).await;
    }
    deployment.stop(Service::Projector);
    let group = Group::of(&deployment);
    let before = group.committed();
    assert!(before.values().sum::<i64>() >= 6, "{before:?}");
    group.set_back();
    deployment.launch(Service::Projector);
    deployment.ready(Service::Projector).await;
    until("everything is derived again", async || {
        let now = group.committed();
        before.iter().all(|(partition, next)| now.get(partition) >= Some(next)).then_some(())
    })
    .await;
    written(&deployment, &api).await;
    assert_eq!(repeated(&deployment.topic("users.analytics").await), vec![]);
}

/// The transaction of a killed member hides what others have written since it began.
pub async fn a_success_behind_an_open_transaction_is_written_once(stack: &'static Stack) {
    let mut deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    let api = deployment.tenant();
    written(&deployment, &api).await;
    let everywhere: Vec<Foreign> =
        (0..4).map(|partition| Foreign::default().into_partition(partition)).collect();
    let (open, _) = deployment.begin("users.analytics", &everywhere).await;
    for _ in 0..6 {
        api.user(json!({})).await;
    }
    let group = Group::of(&deployment);
    until("all are derived", async || (group.committed().values().sum::<i64>() == 7).then_some(())).await;
    deployment.stop(Service::Projector);
    group.set_back();
    deployment.launch(Service::Projector);
    deployment.ready(Service::Projector).await;
    until("the projector waits for the open transaction", async || {
        let log = std::fs::read_to_string(deployment.log_path(Service::Projector, 0)).ok()?;
        log.contains("waiting for the end of an open transaction").then_some(())
    })
    .await;
    open.abort().await;
    until("all are derived again", async || (group.committed().values().sum::<i64>() == 7).then_some(()))
        .await;
    written(&deployment, &api).await;
    assert_eq!(repeated(&deployment.topic("users.analytics").await), vec![]);
}

/// Anyone who may write to the topic may give a header any name.
pub async fn a_foreign_header_does_not_end_the_derivation(stack: &'static Stack) {
    let mut deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    let api = deployment.tenant();
    written(&deployment, &api).await;
    deployment.stop(Service::Projector);
    let group = Group::of(&deployment);
    group.set_back();
    let everywhere =
        (0..4).map(|partition| Foreign::default().with_unreadable_name().into_partition(partition));
    deployment.append("users.analytics", &everywhere.collect::<Vec<_>>()).await;
    deployment.launch(Service::Projector);
    deployment.ready(Service::Projector).await;
    api.user(json!({})).await;
    until("all are derived", async || (group.committed().values().sum::<i64>() == 2).then_some(())).await;
    let log = std::fs::read_to_string(deployment.log_path(Service::Projector, 0)).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

/// The consumer group that derives analytic events.
struct Group {
    consumer: BaseConsumer,
    topic: String,
}

impl Group {
    /// The timeout for an answer of the broker.
    const ANSWER: Duration = Duration::from_secs(60);

    fn of(deployment: &Deployment) -> Self {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", deployment.brokers())
            .set("group.id", format!("{}rollcall-analytics", deployment.prefix))
            .create()
            .unwrap();
        Self { consumer, topic: format!("{}users.events", deployment.prefix) }
    }

    /// The committed offsets of partitions that have one.
    fn committed(&self) -> BTreeMap<i32, i64> {
        let found = tokio::task::block_in_place(|| {
            self.consumer.committed_offsets(self.partitions(Offset::Invalid), Self::ANSWER)
        });
        let found = found.unwrap();
        let offsets = found.elements().into_iter().filter_map(|place| match place.offset() {
            Offset::Offset(next) => Some((place.partition(), next)),
            _ => None,
        });
        offsets.collect()
    }

    /// Commits the start offset of each partition.
    fn set_back(&self) {
        let all = self.partitions(Offset::Offset(0));
        tokio::task::block_in_place(|| self.consumer.commit(&all, CommitMode::Sync)).unwrap();
    }

    fn partitions(&self, offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in 0..4 {
            list.add_partition_offset(&self.topic, partition, offset).unwrap();
        }
        list
    }
}

/// Writes until one write is acknowledged and its analytic end is in the log.
async fn written(deployment: &Deployment, api: &Api) {
    let request = until("a write is accepted", async || {
        let answer = api.create(json!({})).attempt().await.ok()?;
        matches!(answer.status, 201 | 202).then(|| answer.header("x-request-id").to_owned())
    })
    .await;
    until("its SUCCESS is there", async || {
        let events = deployment.topic("users.analytics").await;
        let is_its =
            |event: &&Record| event.header("ce_type") == "USER_CREATE_SUCCESS" && event.key == request;
        events.iter().find(is_its).map(drop)
    })
    .await;
}

/// Each repeated `ce_id`, with its places.
fn repeated(records: &[Record]) -> Vec<(&str, Vec<(i32, i64)>)> {
    let mut places: BTreeMap<&str, Vec<(i32, i64)>> = BTreeMap::new();
    for record in records {
        places.entry(record.header("ce_id")).or_default().push((record.partition, record.offset));
    }
    places.into_iter().filter(|(_, places)| places.len() > 1).collect()
}
