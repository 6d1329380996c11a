//! The settings of the pipeline's Kafka clients.

use events_schema::analytics::Level;
use rdkafka::ClientConfig;
use service_kit::{
    kafka::{self, OwnSettings, Topics},
    settings::Settings,
};

const CONSUMER: OwnSettings<'_> = OwnSettings { defaults: CONSUMER_DEFAULTS, required: CONSUMER_REQUIRED };
const PRODUCER: OwnSettings<'_> = OwnSettings {
    defaults: &[],
    required: &[("transaction.timeout.ms", "10000"), ("message.timeout.ms", "8000")],
};

const CONSUMER_DEFAULTS: &[(&str, &str)] = &[
    // The shortest time that brokers allow by default, so that a dead member is replaced soon.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1500"),
    ("queued.max.messages.kbytes", "4096"),
    // Nobody waits for analytics, so records are fetched in few, large requests.
    ("fetch.wait.max.ms", "100"),
    ("fetch.min.bytes", "65536"),
];

/// What exactly-once depends on.
const CONSUMER_REQUIRED: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "earliest"),
    // Each assignment is a whole one.
    ("partition.assignment.strategy", "range"),
    // Tells whether brokers are reachable.
    ("statistics.interval.ms", "5000"),
];

/// What sessions are opened with.
pub(super) struct Configs {
    pub(super) consumer: ClientConfig,
    pub(super) producer: ClientConfig,
    pub(super) group: String,
    pub(super) topics: Topics,
    pub(super) level: Level,
}

impl Configs {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let group = group_of(&settings.topic_prefix);
        let mut consumer = kafka::client_config(settings)?;
        CONSUMER.add_to(&mut consumer, settings);
        consumer.set("group.id", &group);
        let mut producer = kafka::producer_config(settings)?;
        PRODUCER.add_to(&mut producer, settings);
        // After a gap another producer would stop, but a transaction is aborted as a whole.
        producer.remove("enable.gapless.guarantee");
        let topics = Topics::new(&settings.topic_prefix);
        Ok(Self { consumer, producer, group, topics, level: settings.analytics_level })
    }
}

/// The consumer group that derives analytic events.
pub(crate) fn group_of(prefix: &str) -> String {
    format!("{prefix}rollcall-analytics")
}
