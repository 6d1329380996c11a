//! The log between two offset vectors, read without a group.

use crate::{
    log::{name_of, topic_of},
    record::{Partition, Record},
};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
};
use service_kit::{
    kafka::{self, Topics},
    settings::Settings,
};
use std::{collections::BTreeMap, ops::Range, time::Duration};
use tokio::sync::mpsc;

/// Records that wait for the fold.
const QUEUE: usize = 1_024;

/// Reads these ranges in a thread of its own; the channel ends when all of them are read.
///
/// # Errors
/// The settings don't make a client.
pub(super) fn replay(
    settings: &Settings,
    partitions: u32,
    ranges: BTreeMap<Partition, Range<i64>>,
) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Record>>> {
    let topics = Topics::new(&settings.topic_prefix);
    let consumer: BaseConsumer = kafka::client_config(settings)?
        // Never joined: `assign` only asks that there be a name.
        .set("group.id", format!("{}rollcall-rebuild", settings.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.queue.backoff.ms", "10")
        .create()?;
    consumer.assign(&list(&topics, ranges.iter().map(|(partition, range)| (*partition, range.start)))?)?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reader = Reader { consumer, topics, partitions, left: ranges, sender };
    std::thread::Builder::new().name("rebuild-log".into()).spawn(move || reader.run())?;
    Ok(receiver)
}

fn list(
    topics: &Topics,
    offsets: impl Iterator<Item = (Partition, i64)>,
) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(name_of(topics, topic), partition, Offset::Offset(offset))?;
    }
    Ok(list)
}

struct Reader {
    consumer: BaseConsumer,
    topics: Topics,
    partitions: u32,
    left: BTreeMap<Partition, Range<i64>>,
    sender: mpsc::Sender<anyhow::Result<Record>>,
}

impl Reader {
    fn run(mut self) {
        while !self.left.is_empty() && !self.sender.is_closed() {
            if let Err(error) = self.step() {
                let _ = self.sender.blocking_send(Err(error));
                return;
            }
        }
    }

    fn step(&mut self) -> anyhow::Result<()> {
        let message = match self.consumer.poll(Duration::from_millis(100)) {
            None => return Ok(()),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                let code = error.rdkafka_error_code();
                let is_lost = matches!(
                    code,
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
                );
                anyhow::ensure!(!is_lost, "the log does not have the offsets that were asked for");
                tracing::warn!(%error, "the log can't be read; trying again");
                return Ok(());
            }
        };
        let Some(topic) = topic_of(&self.topics, message.topic()) else { return Ok(()) };
        let partition = (topic, message.partition());
        let Some(end) = self.left.get(&partition).map(|range| range.end) else { return Ok(()) };
        let offset = message.offset();
        if offset < end {
            let record = Record::read(topic, &message, self.partitions);
            let _ = self.sender.blocking_send(Ok(record));
        }
        if offset + 1 >= end {
            self.left.remove(&partition);
            self.consumer.pause(&list(&self.topics, [(partition, offset)].into_iter())?)?;
        }
        Ok(())
    }
}
