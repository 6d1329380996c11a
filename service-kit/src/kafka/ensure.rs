//! The topics exist as promised, or the start is refused.

use super::{Topics, client_config};
use crate::settings::Settings;
use anyhow::{Context as _, bail, ensure};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    types::RDKafkaErrorCode,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// For one request to the broker.
const REQUEST: Duration = Duration::from_secs(10);
/// For a topic just created to be known everywhere.
const SPREAD: Duration = Duration::from_secs(20);

/// A domain topic is the truth: nothing of it may ever be dropped.
const KEPT: &[(&str, &str)] =
    &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
/// So that the broker unpacks what it takes, and its limit on a record holds for that. A few packed kilobytes can be more than any client
/// unpacks, and no record behind them would ever be read.
const UNPACKED: (&str, &str) = ("compression.type", "uncompressed");
/// Analytic events may hold claims at level 3, so they go after a week.
const A_WEEK: &[(&str, &str)] = &[("cleanup.policy", "delete"), ("retention.ms", "604800000")];

/// Creates the topics that are missing and refuses those that break a promise (partition counts that differ or
/// `cleanup.policy`/`retention` of the two domain topics), naming topic, setting, found and wanted value, and the
/// command that mends it. Idempotent, safe in several processes at once.
///
/// # Errors
/// The broker can't be reached, or a topic breaks a promise.
pub async fn ensure_topics(settings: &Settings) -> anyhow::Result<()> {
    let topics = Topics::new(&settings.topic_prefix);
    let admin = Admin::new(settings)?;
    let found = [admin.partitions(&topics.users).await?, admin.partitions(&topics.credentials).await?];
    let count = wanted_count(settings, found);
    let domain = [KEPT, &[UNPACKED]].concat();
    admin.create_missing(&topics.users, count, &domain).await?;
    admin.create_missing(&topics.credentials, count, &domain).await?;
    admin.create_missing(&topics.analytics, count, A_WEEK).await?;

    let users = admin.partitions_soon(&topics.users).await?;
    let credentials = admin.partitions_soon(&topics.credentials).await?;
    check_counts(settings, &topics, users, credentials)?;
    for topic in [&topics.users, &topics.credentials] {
        check_config(topic, &admin.config(topic).await?)?;
    }
    Ok(())
}

/// Unless the operator wants a certain count, a topic that is missing takes after the one that is there.
fn wanted_count(settings: &Settings, found: [Option<u32>; 2]) -> u32 {
    let there = found.into_iter().flatten().next().filter(|_| !settings.is_partitions_given);
    there.unwrap_or(settings.partitions)
}

fn check_counts(settings: &Settings, topics: &Topics, users: u32, credentials: u32) -> anyhow::Result<()> {
    ensure!(
        users == credentials,
        "{} has {users} partitions and {} has {credentials}: both must have the same number. Delete the one that is \
         still empty (kafka-topics.sh --delete --topic NAME) and run `rollcall migrate`",
        topics.users,
        topics.credentials,
    );
    ensure!(
        !settings.is_partitions_given || users == settings.partitions,
        "ROLLCALL_PARTITIONS: is {}, but {} and {} have {users} partitions, and a user's events can't move to another: \
         set ROLLCALL_PARTITIONS={users}, or leave it out",
        settings.partitions,
        topics.users,
        topics.credentials,
    );
    Ok(())
}

fn check_config(topic: &str, config: &ConfigResource) -> anyhow::Result<()> {
    for (key, wanted) in KEPT {
        let found = value(config, key);
        ensure!(
            found == *wanted,
            "topic {topic} has {key}={found}, but the log must be kept: it must be {wanted}. Mend it with \
             kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {key}={wanted}"
        );
    }
    let (key, wanted) = UNPACKED;
    if value(config, key) != wanted {
        tracing::warn!(
            topic,
            "{key} is not {wanted}: whoever may write there can stop its readers with a record that unpacks to more than they take. Mend it with \
             kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {key}={wanted}"
        );
    }
    Ok(())
}

fn value<'c>(config: &'c ConfigResource, key: &str) -> &'c str {
    config.get(key).and_then(|entry| entry.value.as_deref()).unwrap_or("nothing")
}

/// The broker's administration.
struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    options: AdminOptions,
}

impl Admin {
    fn new(settings: &Settings) -> anyhow::Result<Self> {
        let client = client_config(settings)?.create().context("the Kafka client can't be made")?;
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        Ok(Self { client: Arc::new(client), options })
    }

    /// The number of a topic's partitions, if it exists.
    async fn partitions(&self, topic: &str) -> anyhow::Result<Option<u32>> {
        let client = Arc::clone(&self.client);
        // Of all topics: asking for one by name would make a broker create it, with settings of its own.
        let ask = move || client.inner().fetch_metadata(None, REQUEST);
        let metadata = tokio::task::spawn_blocking(ask).await?.context("KAFKA_BROKERS: no broker answers")?;
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

    /// The same for a topic that has just been created, as soon as the broker knows it.
    async fn partitions_soon(&self, topic: &str) -> anyhow::Result<u32> {
        let deadline = Instant::now() + SPREAD;
        loop {
            if let Some(count) = self.partitions(topic).await? {
                return Ok(count);
            }
            ensure!(Instant::now() < deadline, "topic {topic} was created but does not appear");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Creates a topic with the broker's own replication factor, unless it exists.
    async fn create_missing(
        &self,
        topic: &str,
        partitions: u32,
        config: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        // Asked first, so that a principal that may not create topics can work with those that are there.
        if self.partitions(topic).await?.is_some() {
            return Ok(());
        }
        let new = NewTopic::new(topic, i32::try_from(partitions)?, TopicReplication::Fixed(-1));
        let new = config.iter().fold(new, |new, (key, value)| new.set(key, value));
        let results = self.client.create_topics([&new], &self.options).await;
        for result in results.with_context(|| format!("topic {topic} can't be created"))? {
            match result {
                Ok(_) => tracing::info!(topic, partitions, "topic created"),
                // By another process, in this very moment.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, error)) => bail!("topic {topic} can't be created: {error}"),
            }
        }
        Ok(())
    }

    async fn config(&self, topic: &str) -> anyhow::Result<ConfigResource> {
        let what = || format!("the configuration of topic {topic} can't be read");
        let specifier = ResourceSpecifier::Topic(topic);
        let asked = self.client.describe_configs([&specifier], &self.options);
        let first = asked.await.with_context(what)?.into_iter().next().with_context(what)?;
        first.map_err(|error| anyhow::anyhow!("{}: {error}", what()))
    }
}
