//! Reading the topic that is copied, in ranges that stay the same for each pass.

use anyhow::Context as _;
use event_log::{
    log_ends::BROKER_TIMEOUT,
    replay::{self, Part},
};
use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    message::BorrowedMessage,
};
use service_kit::{kafka, settings::Settings};
use std::{collections::BTreeMap, ops::Range};
use tokio::sync::mpsc::Receiver;

/// The offsets of each partition.
pub(super) type Ranges = BTreeMap<i32, Range<i64>>;

/// The offsets of all records of a topic.
///
/// # Errors
/// Kafka can't be asked, there is no such topic, or it has an open transaction, whose records can't
/// be read yet.
pub(super) async fn ranges(settings: &Settings, topic: &str) -> anyhow::Result<Ranges> {
    ranges_if_any(settings, topic).await?.with_context(|| format!("there is no topic {topic}"))
}

/// The same. `None`: there is no such topic.
///
/// # Errors
/// Kafka can't be asked, or the topic has an open transaction.
pub(super) async fn ranges_if_any(settings: &Settings, topic: &str) -> anyhow::Result<Option<Ranges>> {
    // In this order, because the topic may grow in between.
    let Some(all) = ask(settings, topic, "read_uncommitted").await? else { return Ok(None) };
    let Some(committed) = ask(settings, topic, "read_committed").await? else { return Ok(None) };
    let is_open = |(partition, range): &(&i32, &Range<i64>)| {
        committed.get(*partition).is_none_or(|committed| committed.end < range.end)
    };
    let open = all.iter().find(is_open);
    if let Some((partition, _)) = open {
        anyhow::bail!(
            "a transaction is open in {topic} partition {partition}, so the records behind it can't be read: copy the log once its producer \
             has ended it, or has been stopped for longer than its transaction.timeout.ms"
        );
    }
    Ok(Some(all))
}

async fn ask(settings: &Settings, topic: &str, isolation: &str) -> anyhow::Result<Option<Ranges>> {
    let mut config = kafka::client_config(settings)?;
    config.set("isolation.level", isolation);
    let topic = topic.to_owned();
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        // Asks for all topics: if one is requested by name, a broker may create it.
        let metadata = consumer.fetch_metadata(None, BROKER_TIMEOUT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let Some(found) = found else { return Ok(None) };
        let range = |partition: i32| -> anyhow::Result<(i32, Range<i64>)> {
            let (low, high) = kafka::watermarks(&consumer, &topic, partition, BROKER_TIMEOUT)?;
            Ok((partition, low..high))
        };
        found
            .partitions()
            .iter()
            .map(|partition| range(partition.id()))
            .collect::<anyhow::Result<_>>()
            .map(Some)
    })
    .await?
}

/// The number of offsets, which is about the number of records.
pub(super) fn total(ranges: &Ranges) -> u64 {
    ranges.values().map(|range| u64::try_from(range.end - range.start).unwrap_or_default()).sum()
}

/// Reads the committed records of the ranges, each partition in its order.
pub(super) fn read<T: Send + 'static>(
    settings: &Settings,
    topic: &str,
    ranges: &Ranges,
    take: impl FnMut(&BorrowedMessage<'_>) -> T + Send + 'static,
) -> anyhow::Result<Receiver<anyhow::Result<T>>> {
    let ranges = ranges.clone().into_iter().filter(|(_, range)| !range.is_empty()).collect();
    let part = Part { name: topic.to_owned(), ranges, is_uncommitted_read: false, is_short_lived: false };
    replay::read(settings, part, take)
}
