//! Asks the brokers where the log begins and ends, and how many partitions it has.

use anyhow::Context as _;
use events_schema::{Partition, Timestamp, Topic};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
    metadata::{MetadataPartition, MetadataTopic},
};
use service_kit::{
    kafka::{self, Topics},
    settings::Settings,
};
use std::{collections::BTreeMap, time::Duration};

/// How long a broker may take to answer.
pub const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// The ends of a partition as a reader of committed records sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The first offset.
    pub low: i64,
    /// The last stable offset: the first one that can't be read yet. From there on there is
    /// nothing, or an open transaction.
    pub high: i64,
}

/// The topic that has this name in Kafka.
pub fn topic_of(topics: &Topics, name: &str) -> Option<Topic> {
    Topic::ALL.into_iter().find(|topic| name_of(topics, *topic) == name)
}

/// The name of a topic in Kafka.
pub fn name_of(topics: &Topics, topic: Topic) -> &str {
    match topic {
        Topic::Users => &topics.users,
        Topic::Credentials => &topics.credentials,
    }
}

/// How many partitions each topic has.
///
/// # Errors
/// Kafka can't be queried, or the two topics differ.
pub async fn partitions(settings: &Settings) -> anyhow::Result<u32> {
    let topics = Topics::new(&settings.topic_prefix);
    let (users, credentials) = (topics.users.clone(), topics.credentials.clone());
    let counts = ask(settings, move |consumer| {
        Ok((
            existing_partition_ids(consumer, &topics.users)?.len(),
            existing_partition_ids(consumer, &topics.credentials)?.len(),
        ))
    });
    let (of_users, of_credentials) = counts.await?;
    anyhow::ensure!(
        of_users == of_credentials,
        "{users} has {of_users} partitions and {credentials} has {of_credentials}: both must have the same \
         number. `rollcall migrate` says what to do"
    );
    Ok(u32::try_from(of_users)?)
}

/// The ends of some partitions.
///
/// # Errors
/// Kafka can't be queried.
pub async fn ends(
    settings: &Settings,
    partitions: Vec<Partition>,
) -> anyhow::Result<BTreeMap<Partition, Ends>> {
    let topics = Topics::new(&settings.topic_prefix);
    ask(settings, move |consumer| {
        let ends = |(topic, partition)| {
            Ok(((topic, partition), watermarks(consumer, name_of(&topics, topic), partition)?))
        };
        partitions.into_iter().map(ends).collect()
    })
    .await
}

/// The ends of every partition of both topics, which may differ in their number of partitions.
///
/// # Errors
/// Kafka can't be queried, or a topic is missing.
pub async fn all_ends(settings: &Settings) -> anyhow::Result<BTreeMap<Partition, Ends>> {
    let topics = Topics::new(&settings.topic_prefix);
    let mut all = BTreeMap::new();
    for topic in Topic::ALL {
        let ends = topic_ends(settings, name_of(&topics, topic)).await?;
        all.extend(ends.into_iter().map(|(partition, ends)| ((topic, partition), ends)));
    }
    Ok(all)
}

/// The ends of every partition of a topic.
///
/// # Errors
/// Kafka can't be queried, or the topic is missing.
pub async fn topic_ends(settings: &Settings, name: &str) -> anyhow::Result<BTreeMap<i32, Ends>> {
    let name = name.to_owned();
    ask(settings, move |consumer| {
        let ids = existing_partition_ids(consumer, &name)?.into_iter();
        ids.map(|partition| Ok((partition, watermarks(consumer, &name, partition)?))).collect()
    })
    .await
}

/// The first offset of a partition whose record is not older than `time`, by Kafka's time. All records
/// before it are older. `None`: every record is.
///
/// # Errors
/// Kafka can't be queried.
pub async fn offset_at(
    settings: &Settings,
    (topic, partition): Partition,
    time: Timestamp,
) -> anyhow::Result<Option<i64>> {
    let topics = Topics::new(&settings.topic_prefix);
    ask(settings, move |consumer| {
        let name = name_of(&topics, topic);
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(name, partition, Offset::Offset(time.unix_millis()))?;
        let found = consumer.offsets_for_times(times, BROKER_TIMEOUT)?;
        let found =
            found.find_partition(name, partition).context("Kafka did not answer for the partition")?;
        found.error()?;
        Ok(match found.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    })
    .await
}

async fn ask<T: Send + 'static>(
    settings: &Settings,
    question: impl FnOnce(&BaseConsumer) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let config = kafka::client_config(settings)?;
    tokio::task::spawn_blocking(move || question(&config.create()?)).await?
}

/// The partitions of a topic in order, or `None` if it does not exist. The question does not create
/// it: the clients set `allow.auto.create.topics=false`.
///
/// # Errors
/// Kafka can't be queried.
pub fn partition_ids(consumer: &impl Consumer, name: &str) -> KafkaResult<Option<Vec<i32>>> {
    let metadata = consumer.fetch_metadata(Some(name), BROKER_TIMEOUT)?;
    let is_there = |topic: &&MetadataTopic| topic.error().is_none() && !topic.partitions().is_empty();
    Ok(metadata.topics().first().filter(is_there).map(|topic| {
        let mut ids: Vec<i32> = topic.partitions().iter().map(MetadataPartition::id).collect();
        ids.sort_unstable();
        ids
    }))
}

fn existing_partition_ids(consumer: &BaseConsumer, name: &str) -> anyhow::Result<Vec<i32>> {
    partition_ids(consumer, name)?.with_context(|| format!("topic {name} does not exist"))
}

fn watermarks(consumer: &BaseConsumer, name: &str, partition: i32) -> anyhow::Result<Ends> {
    let (low, high) = kafka::watermarks(consumer, name, partition, BROKER_TIMEOUT)
        .with_context(|| format!("the ends of partition {partition} of {name}"))?;
    Ok(Ends { low, high })
}
