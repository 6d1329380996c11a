//! Finds open transactions of other producers. A consumer of committed records stops before the
//! first record of one until it ends.

use super::client_config;
use crate::settings::Settings;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// For one reply of the broker.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two looks at an open transaction.
const OPEN_PAUSE: Duration = Duration::from_millis(50);
/// For reading the record at which consumers stop.
const RECORD_TIMEOUT: Duration = Duration::from_secs(2);

/// The first open transaction of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenTransaction {
    /// Its first record. Consumers stop before it.
    pub offset: i64,
    /// Number of offsets from there to the end of the log. They wait until the transaction ends.
    pub waiting: i64,
    /// When that record was written, by its producer's clock (or as the topic's
    /// `message.timestamp.type` says). `None` if it could not be read.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
}

impl fmt::Display for OpenTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, waiting, since } = self;
        write!(f, "a transaction is open at offset {offset}")?;
        if let Some(since) = since {
            write!(f, " since {}", events_schema::millis(*since))?;
        }
        write!(f, ", {waiting} offsets wait for its end")
    }
}

/// The open transactions in these partitions of a topic.
///
/// # Errors
/// Kafka can't be queried.
pub async fn open_transactions(
    settings: &Settings,
    topic: &str,
    partitions: Vec<i32>,
) -> anyhow::Result<BTreeMap<i32, OpenTransaction>> {
    let (config, topic) = (config(settings)?, topic.to_owned());
    tokio::task::spawn_blocking(move || find_open(config, &topic, partitions)).await?
}

/// The high watermark of each of these partitions: its end including records of open transactions.
///
/// # Errors
/// Kafka can't be queried.
pub async fn high_watermarks(
    settings: &Settings,
    topic: &str,
    partitions: Vec<i32>,
) -> anyhow::Result<BTreeMap<i32, i64>> {
    let (config, topic) = (config(settings)?, topic.to_owned());
    tokio::task::spawn_blocking(move || {
        let consumer = reader(&config, "read_uncommitted")?;
        partitions.into_iter().map(|partition| Ok((partition, end(&consumer, &topic, partition)?))).collect()
    })
    .await?
}

/// Waits until the transactions have ended that are open now in these partitions. Behind an open
/// one, a consumer of committed records sees nothing. Blocks.
///
/// # Errors
/// Kafka can't be queried, or a transaction does not end in that time.
pub fn await_open_transactions(
    config: &ClientConfig,
    topic: &str,
    partitions: &[i32],
    within: Duration,
) -> anyhow::Result<()> {
    let (all, committed) = (reader(config, "read_uncommitted")?, reader(config, "read_committed")?);
    let mut ends = BTreeMap::new();
    for partition in partitions {
        ends.insert(*partition, end(&all, topic, *partition)?);
    }
    let (began, mut is_told) = (Instant::now(), false);
    for (partition, high) in ends {
        while end(&committed, topic, partition)? < high {
            anyhow::ensure!(began.elapsed() < within, "topic {topic}: a transaction does not end");
            if !std::mem::replace(&mut is_told, true) {
                tracing::info!(topic, partition, "waiting for the end of an open transaction");
            }
            std::thread::sleep(OPEN_PAUSE);
        }
    }
    Ok(())
}

fn config(settings: &Settings) -> anyhow::Result<ClientConfig> {
    let mut config = client_config(settings)?;
    // The group is never joined, but `assign` requires a name.
    config
        .set("group.id", format!("{}rollcall-open", settings.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error");
    Ok(config)
}

fn reader(config: &ClientConfig, isolation: &str) -> anyhow::Result<BaseConsumer> {
    Ok(config.clone().set("isolation.level", isolation).create()?)
}

/// What the broker reports as the end depends on the client's isolation level: the high watermark,
/// or the last stable offset.
fn end(consumer: &BaseConsumer, topic: &str, partition: i32) -> Result<i64, KafkaError> {
    consumer.fetch_watermarks(topic, partition, ANSWER_TIMEOUT).map(|(_, end)| end)
}

fn find_open(
    config: ClientConfig,
    topic: &str,
    partitions: Vec<i32>,
) -> anyhow::Result<BTreeMap<i32, OpenTransaction>> {
    let all = reader(&config, "read_uncommitted")?;
    let committed = reader(&config, "read_committed")?;
    let mut found = BTreeMap::new();
    for partition in partitions {
        // In this order: without an open transaction, the stable offset is never behind an earlier
        // high watermark.
        let high = end(&all, topic, partition)?;
        let offset = end(&committed, topic, partition)?;
        if offset < high {
            let since = written_at(&all, topic, partition, offset)?;
            found.insert(partition, OpenTransaction { offset, waiting: high - offset, since });
        }
    }
    Ok(found)
}

fn written_at(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    offset: i64,
) -> anyhow::Result<Option<OffsetDateTime>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&list)?;
    let deadline = Instant::now() + RECORD_TIMEOUT;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        if let Some(Ok(message)) = consumer.poll(left) {
            let millis = message.timestamp().to_millis();
            let time =
                |millis: i64| OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok();
            return Ok(millis.and_then(time));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_transaction_says_where_it_is_and_how_much_waits() {
        let open = OpenTransaction { offset: 7, waiting: 3, since: None };
        assert_eq!(open.to_string(), "a transaction is open at offset 7, 3 offsets wait for its end");
        let since = Some(OffsetDateTime::UNIX_EPOCH);
        let open = OpenTransaction { since, ..open };
        assert!(open.to_string().contains("since 1970-01-01T00:00:00.000Z"), "{open}");
    }
}
