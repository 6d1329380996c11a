//! The broker's administration, as far as topics need it.

use super::client_config;
use crate::settings::Settings;
use anyhow::{Context as _, bail, ensure};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    metadata::Metadata,
    types::RDKafkaErrorCode,
};
use serde::Serialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// For one request to the broker.
const REQUEST: Duration = Duration::from_secs(10);
/// For a topic just created to be known everywhere.
const SPREAD: Duration = Duration::from_secs(20);

/// A topic that was just made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MadeTopic {
    /// Its name.
    pub topic: String,
    /// How many it has.
    pub partitions: u32,
}

/// How a topic is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The fewest replicas that a partition of it has.
    pub(super) replicas: usize,
    /// How many brokers there are.
    pub(super) brokers: usize,
}

/// What a setting of a topic is.
pub(super) fn value<'c>(config: &'c ConfigResource, key: &str) -> &'c str {
    config.get(key).and_then(|entry| entry.value.as_deref()).unwrap_or("nothing")
}

/// The broker's administration.
pub(super) struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    options: AdminOptions,
}

impl Admin {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let client = client_config(settings)?.create().context("the Kafka client can't be made")?;
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        Ok(Self { client: Arc::new(client), options })
    }

    /// The number of a topic's partitions, if it exists.
    pub(super) async fn partitions(&self, topic: &str) -> anyhow::Result<Option<u32>> {
        let metadata = self.metadata().await?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(u32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
            // No leader yet: it has just been made.
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::LeaderNotAvailable) => {
                Ok(None)
            }
            Some(error) => bail!("topic {topic}: {error}"),
        }
    }

    /// A topic, if it exists.
    pub(super) async fn find(&self, topic: &str) -> anyhow::Result<Option<Found>> {
        let metadata = self.metadata().await?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let brokers = metadata.brokers().len();
        Ok(found.and_then(|topic| {
            let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min()?;
            Some(Found { replicas, brokers })
        }))
    }

    /// How many replicas a topic gets for which nobody says it, where a broker tells.
    pub(super) async fn default_replicas(&self) -> Option<usize> {
        let broker = self.metadata().await.ok()?.brokers().first()?.id();
        let specifier = ResourceSpecifier::Broker(broker);
        let asked = self.client.describe_configs([&specifier], &self.options).await.ok()?;
        let config = asked.into_iter().next()?.ok()?;
        value(&config, "default.replication.factor").parse().ok()
    }

    async fn metadata(&self) -> anyhow::Result<Metadata> {
        let client = Arc::clone(&self.client);
        // Of all topics: asking for one by name would make a broker create it, with settings of its own.
        let ask = move || client.inner().fetch_metadata(None, REQUEST);
        tokio::task::spawn_blocking(ask).await?.context("KAFKA_BROKERS: no broker answers")
    }

    /// The number of partitions of a topic that has just been created, as soon as the broker knows it.
    pub(super) async fn partitions_soon(&self, topic: &str) -> anyhow::Result<u32> {
        let deadline = Instant::now() + SPREAD;
        loop {
            if let Some(count) = self.partitions(topic).await? {
                return Ok(count);
            }
            ensure!(Instant::now() < deadline, "topic {topic} was created but does not appear");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Creates a topic, unless it exists; gives it if it was made here.
    pub(super) async fn create_missing(
        &self,
        topic: &str,
        partitions: u32,
        replicas: i32,
        config: &[(&str, &str)],
    ) -> anyhow::Result<Option<MadeTopic>> {
        // Asked first, so that a principal that may not create topics can work with those that are there.
        if self.partitions(topic).await?.is_some() {
            return Ok(None);
        }
        let new = NewTopic::new(topic, i32::try_from(partitions)?, TopicReplication::Fixed(replicas));
        let new = config.iter().fold(new, |new, (key, value)| new.set(key, value));
        let results = self.client.create_topics([&new], &self.options).await;
        let mut made = None;
        for result in results.with_context(|| format!("topic {topic} can't be created"))? {
            match result {
                Ok(_) => {
                    tracing::info!(topic, partitions, "topic created");
                    made = Some(MadeTopic { topic: topic.to_owned(), partitions });
                }
                // By another process, in this very moment.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, error)) => bail!("topic {topic} can't be created: {error}"),
            }
        }
        Ok(made)
    }

    pub(super) async fn config(&self, topic: &str) -> anyhow::Result<ConfigResource> {
        let what = || format!("the configuration of topic {topic} can't be read");
        let specifier = ResourceSpecifier::Topic(topic);
        let asked = self.client.describe_configs([&specifier], &self.options);
        let first = asked.await.with_context(what)?.into_iter().next().with_context(what)?;
        first.map_err(|error| anyhow::anyhow!("{}: {error}", what()))
    }
}
