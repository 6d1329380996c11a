//! The broker's admin interface, as far as topics need it.

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
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a new topic may take to become visible.
const SPREAD: Duration = Duration::from_secs(20);

/// A topic that was just created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreatedTopic {
    /// Its name.
    pub topic: String,
    /// Its number of partitions.
    pub partitions: u32,
}

/// How a topic is replicated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The smallest number of replicas among its partitions.
    pub(super) replicas: usize,
    /// The number of brokers in the cluster.
    pub(super) brokers: usize,
}

/// The value of a topic's setting.
pub(super) fn value<'c>(config: &'c ConfigResource, key: &str) -> &'c str {
    config.get(key).and_then(|entry| entry.value.as_deref()).unwrap_or("nothing")
}

/// The broker's admin interface.
pub(super) struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    options: AdminOptions,
}

impl Admin {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let client = client_config(settings)?.create().context("the Kafka client can't be created")?;
        let options = AdminOptions::new()
            .request_timeout(Some(REQUEST_TIMEOUT))
            .operation_timeout(Some(REQUEST_TIMEOUT));
        Ok(Self { client: Arc::new(client), options })
    }

    /// The number of partitions of a topic, if it exists.
    pub(super) async fn partitions(&self, topic: &str) -> anyhow::Result<Option<u32>> {
        let metadata = self.metadata().await?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(u32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
            // No leader yet: the topic was just created.
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::LeaderNotAvailable) => {
                Ok(None)
            }
            Some(error) => bail!("topic {topic}: {error}"),
        }
    }

    /// A topic's replication, if the topic exists.
    pub(super) async fn find(&self, topic: &str) -> anyhow::Result<Option<Found>> {
        let metadata = self.metadata().await?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let brokers = metadata.brokers().len();
        Ok(found.and_then(|topic| {
            let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min()?;
            Some(Found { replicas, brokers })
        }))
    }

    /// The default replication factor for new topics, if a broker reports it.
    pub(super) async fn default_replicas(&self) -> Option<usize> {
        let broker = self.metadata().await.ok()?.brokers().first()?.id();
        let specifier = ResourceSpecifier::Broker(broker);
        let asked = self.client.describe_configs([&specifier], &self.options).await.ok()?;
        let config = asked.into_iter().next()?.ok()?;
        value(&config, "default.replication.factor").parse().ok()
    }

    async fn metadata(&self) -> anyhow::Result<Metadata> {
        let client = Arc::clone(&self.client);
        // For all topics: asking for one by name could make a broker create it with its own
        // settings.
        let ask = move || client.inner().fetch_metadata(None, REQUEST_TIMEOUT);
        tokio::task::spawn_blocking(ask).await?.context("KAFKA_BROKERS: no broker answers")
    }

    /// The number of partitions of a topic that was just created, once the broker knows it.
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

    /// Creates a topic unless it exists. Returns it if this call created it.
    pub(super) async fn create_missing(
        &self,
        topic: &str,
        partitions: u32,
        replicas: i32,
        config: &[(&str, &str)],
    ) -> anyhow::Result<Option<CreatedTopic>> {
        // Check first, so that a principal without the right to create topics can use existing
        // ones.
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
                    made = Some(CreatedTopic { topic: topic.to_owned(), partitions });
                }
                // Another process created it at the same moment.
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
