//! Questions to the brokers about the two topics.

use crate::{
    log::{ASK, Ends, name_of},
    record::{Partition, Topic},
};
use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use service_kit::{
    kafka::{self, Topics},
    settings::Settings,
};
use std::collections::BTreeMap;

/// How many partitions the topics have.
///
/// # Errors
/// Kafka can't be asked, or the two topics differ.
pub(crate) async fn partitions(settings: &Settings) -> anyhow::Result<u32> {
    let topics = Topics::new(&settings.topic_prefix);
    let config = kafka::client_config(settings)?;
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        let count = |name: &str| -> anyhow::Result<usize> {
            let metadata = consumer.fetch_metadata(Some(name), ASK)?;
            let topic = metadata.topics().first().context("no such topic")?;
            anyhow::ensure!(topic.error().is_none() && !topic.partitions().is_empty(), "{name} is not there");
            Ok(topic.partitions().len())
        };
        let (users, credentials) = (count(&topics.users)?, count(&topics.credentials)?);
        anyhow::ensure!(
            users == credentials,
            "{} has {users} partitions and {} has {credentials}: both must have the same number. `rollcall migrate` says what to do",
            topics.users,
            topics.credentials
        );
        Ok(u32::try_from(users)?)
    })
    .await?
}

/// The ends of partitions' logs.
///
/// # Errors
/// Kafka can't be asked.
pub(crate) async fn ends(
    settings: &Settings,
    partitions: Vec<Partition>,
) -> anyhow::Result<BTreeMap<Partition, Ends>> {
    let topics = Topics::new(&settings.topic_prefix);
    let config = kafka::client_config(settings)?;
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        let ask = |(topic, partition): Partition| -> anyhow::Result<(Partition, Ends)> {
            let (low, high) = consumer.fetch_watermarks(name_of(&topics, topic), partition, ASK)?;
            Ok(((topic, partition), Ends { low, high }))
        };
        partitions.into_iter().map(ask).collect()
    })
    .await?
}

/// The ends of every partition of both topics, however many each has.
///
/// # Errors
/// Kafka can't be asked, or a topic is not there.
pub(crate) async fn all_ends(settings: &Settings) -> anyhow::Result<BTreeMap<Partition, Ends>> {
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
/// Kafka can't be asked, or the topic is not there.
pub(crate) async fn topic_ends(settings: &Settings, name: &str) -> anyhow::Result<BTreeMap<i32, Ends>> {
    let (config, name) = (kafka::client_config(settings)?, name.to_owned());
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        let metadata = consumer.fetch_metadata(Some(&name), ASK)?;
        let topic = metadata.topics().first().context("no such topic")?;
        anyhow::ensure!(topic.error().is_none() && !topic.partitions().is_empty(), "{name} is not there");
        let ends = |partition: i32| -> anyhow::Result<(i32, Ends)> {
            let (low, high) = consumer.fetch_watermarks(&name, partition, ASK)?;
            Ok((partition, Ends { low, high }))
        };
        topic.partitions().iter().map(|partition| ends(partition.id())).collect()
    })
    .await?
}
