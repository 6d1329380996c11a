use super::*;
use crate::analytics::draft::RequestContext;
use events_schema::analytics::{Operation, Phase};
use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
    producer::DefaultProducerContext,
};
use time::OffsetDateTime;

const TOPIC: &str = "a";
/// Only bounds how long a failing test takes.
const BOUND: Duration = Duration::from_secs(60);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn feed(cluster: &Cluster) -> ProducerThread {
    let brokers = ("KAFKA_BROKERS".to_owned(), cluster.bootstrap_servers());
    let config = config(&Settings::from_vars([brokers], "127.0.0.1:0").unwrap()).unwrap();
    let (room_sender, room) = sync_channel(1);
    let reports = DeliveryReports::new(Arc::new(Tally::new()), room_sender);
    let producer = EventProducer::from_config_and_context(&config, reports.clone()).unwrap();
    ProducerThread {
        config,
        topic: TOPIC.into(),
        reports,
        room,
        producer,
        stall_detector: StallDetector::default(),
        sent: 0,
    }
}

fn event(request: &str) -> AnalyticEvent {
    let context = RequestContext {
        request_id: request.to_owned(),
        request_ip: None,
        tenant: "acme".parse().unwrap(),
        client_id: None,
        traceparent: String::new(),
    };
    let (operation, phase) = (Operation::Retrieve, Phase::Start);
    let context = Arc::new(context);
    Draft { context, operation, phase, at: OffsetDateTime::now_utc(), data: None }.into()
}

/// The keys of the first `count` records of the topic.
fn keys(cluster: &Cluster, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let key = |_| {
        let message = consumer.poll(BOUND).expect("a record").unwrap();
        String::from_utf8(message.key().unwrap().to_vec()).unwrap()
    };
    (0..count).map(key).collect()
}

#[test]
fn a_new_client_gets_what_the_old_one_never_sent() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let mut feed = feed(&cluster);
    cluster.broker_down(1).unwrap();
    let requests: Vec<String> = (0..300).map(|n| format!("r{n}")).collect();
    requests.iter().for_each(|request| feed.send(&event(request)));
    feed.replace();
    cluster.broker_up(1).unwrap();
    feed.send(&event("last"));
    feed.producer.flush(BOUND).unwrap();
    let expected: Vec<String> = requests.into_iter().chain(["last".to_owned()]).collect();
    assert_eq!(keys(&cluster, 301), expected);
}
