//! A Kafka consumer that joins no group and commits no offsets.

use anyhow::Context as _;
use event_log::log_ends;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
};
use service_kit::{
    kafka::{self, OwnSettings},
    settings::Settings,
};
use std::time::Duration;
use time::OffsetDateTime;

/// The timeout for one answer of a broker.
const ANSWER: Duration = Duration::from_secs(10);

/// Where to start reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Beginning,
    End,
    Time(OffsetDateTime),
}

/// A consumer of all partitions of the topics, from the given place on.
pub(super) async fn read(
    settings: &Settings,
    topics: Vec<String>,
    from: From,
) -> anyhow::Result<StreamConsumer> {
    let config = config(settings)?;
    let assign = move || {
        let consumer: StreamConsumer = config.create()?;
        let list = places(&consumer, &topics, from)?;
        consumer.assign(&list)?;
        anyhow::Ok(consumer)
    };
    tokio::task::spawn_blocking(assign).await?
}

const OWN_SETTINGS: OwnSettings<'_> = OwnSettings {
    defaults: &[("fetch.wait.max.ms", "100")],
    required: &[
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "false"),
        ("isolation.level", "read_committed"),
        ("auto.offset.reset", "earliest"),
    ],
};

fn config(settings: &Settings) -> anyhow::Result<ClientConfig> {
    let mut config = kafka::client_config(settings)?;
    // The group is never joined, but the client requires a name.
    config.set("group.id", format!("{}rollcall-log", settings.topic_prefix));
    OWN_SETTINGS.add_to(&mut config, settings);
    Ok(config)
}

fn places(consumer: &StreamConsumer, topics: &[String], from: From) -> anyhow::Result<TopicPartitionList> {
    let offset = match from {
        From::Beginning => Offset::Beginning,
        From::End => Offset::End,
        From::Time(time) => Offset::Offset(i64::try_from(time.unix_timestamp_nanos() / 1_000_000)?),
    };
    let mut list = TopicPartitionList::new();
    for topic in topics {
        for partition in partitions(consumer, topic)? {
            list.add_partition_offset(topic, partition, offset)?;
        }
    }
    match from {
        From::Time(_) => {
            consumer.offsets_for_times(list, ANSWER).context("can't find the offsets of that time")
        }
        From::Beginning | From::End => Ok(list),
    }
}

fn partitions(consumer: &impl Consumer, topic: &str) -> anyhow::Result<Vec<i32>> {
    let found = log_ends::partition_ids(consumer, topic).context("KAFKA_BROKERS: no broker answers")?;
    found.with_context(|| format!("there is no topic {topic}: run `rollcall migrate` first"))
}

/// The first offset of each partition of a topic, and the one after its last, open transactions
/// included.
pub(super) async fn ends(settings: &Settings, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    let (mut config, topic) = (config(settings)?, topic.to_owned());
    config.set("isolation.level", "read_uncommitted");
    let ask = move || {
        let consumer: BaseConsumer = config.create()?;
        let partitions = partitions(&consumer, &topic)?;
        let ends = partitions.into_iter().map(|partition| {
            let (first, end) = kafka::watermarks(&consumer, &topic, partition, ANSWER)?;
            anyhow::Ok((partition, first, end))
        });
        ends.collect()
    };
    tokio::task::spawn_blocking(ask).await?
}
