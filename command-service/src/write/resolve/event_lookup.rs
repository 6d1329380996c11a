//! Finds events in the log by their ids.

use crate::write::SentEvent;
use anyhow::Context as _;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
};
use service_kit::{
    kafka::{self, Topics, client_config},
    settings::Settings,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};
use uuid::Uuid;

/// How long one poll may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// The consumer joins no group and never commits.
const CONSUMER: [(&str, &str); 5] = [
    ("group.id", "rollcall-uncertain"),
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "earliest"),
];

/// Reads the topic of user events.
pub(crate) struct EventLookup {
    config: ClientConfig,
    topic: String,
}

/// The offsets of the events that were found.
pub(super) type Found = HashMap<Uuid, i64>;

impl EventLookup {
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut config = client_config(settings)?;
        for (key, value) in CONSUMER {
            config.set(key, value);
        }
        Ok(Self { config, topic: Topics::new(&settings.topic_prefix).users })
    }

    /// Reads each partition that may hold one of the events to its end.
    pub(super) async fn find(&self, wanted: Vec<SentEvent>) -> anyhow::Result<Found> {
        let (config, topic) = (self.config.clone(), self.topic.clone());
        tokio::task::spawn_blocking(move || find(&config, &topic, &wanted)).await?
    }
}

fn find(config: &ClientConfig, topic: &str, wanted: &[SentEvent]) -> anyhow::Result<Found> {
    let consumer: BaseConsumer = config.create()?;
    let mut open = assign(&consumer, topic, wanted)?;
    let ids: HashSet<Uuid> = wanted.iter().map(|event| event.id).collect();
    let mut found = Found::new();
    while !open.is_empty() {
        match consumer.poll(POLL_TIMEOUT).context("no broker answers")? {
            Ok(message) => {
                let id = event_id(&message).filter(|id| ids.contains(id));
                found.extend(id.map(|id| (id, message.offset())));
            }
            Err(KafkaError::PartitionEOF(partition)) => drop(open.remove(&partition)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Assigns the partitions, each from the first offset at which one of its events can be.
fn assign(consumer: &BaseConsumer, topic: &str, wanted: &[SentEvent]) -> anyhow::Result<HashSet<i32>> {
    let mut begins = BTreeMap::new();
    for event in wanted {
        let begin = begins.entry(i32::try_from(event.partition)?).or_insert(event.from);
        *begin = event.from.min(*begin);
    }
    let mut list = TopicPartitionList::new();
    for (partition, from) in &begins {
        list.add_partition_offset(topic, *partition, Offset::Offset(*from))?;
    }
    consumer.assign(&list)?;
    Ok(begins.into_keys().collect())
}

fn event_id(message: &BorrowedMessage<'_>) -> Option<Uuid> {
    Uuid::try_parse_ascii(kafka::header(message, "ce_id")?).ok()
}
