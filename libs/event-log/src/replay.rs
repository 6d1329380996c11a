//! Reads the log between two vectors of offsets, without a consumer group.

use crate::{log_ends::name_of, record::Record};
use events_schema::{Partition, Topic};
use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use service_kit::{
    kafka::{self, OwnSettings, Topics},
    settings::Settings,
};
use std::{collections::BTreeMap, ops::Range, time::Duration};
use tokio::sync::mpsc;

/// The most records that are read ahead.
const QUEUE: usize = 1_024;

/// A part of a topic.
pub struct Part {
    /// The topic's name in Kafka.
    pub name: String,
    /// The offsets to read of each partition.
    pub ranges: BTreeMap<i32, Range<i64>>,
    /// Whether records of aborted transactions are read too.
    pub is_uncommitted_read: bool,
    /// Whether the beginning may be deleted before it is read.
    pub is_short_lived: bool,
}

/// The offsets to read are not in the log any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log no longer has the requested offsets")]
pub struct LostOffsets;

/// A step of reading.
pub enum Step {
    /// A record.
    Record(Box<Record>),
    /// A partition is read up to this offset. Behind its last record are control records, aborted
    /// transactions, or nothing.
    Reached(Partition, i64),
}

/// Reads these ranges, each topic in its own thread. The channel ends when all of them are
/// read, or at the end of the log.
///
/// # Errors
/// The settings are invalid for a Kafka client.
pub fn replay(
    settings: &Settings,
    partitions: u32,
    ranges: BTreeMap<Partition, Range<i64>>,
) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Step>>> {
    replay_part(settings, partitions, ranges, |_| true)
}

/// Reads these ranges like [`replay`], but only the records with such a key.
///
/// # Errors
/// The settings are invalid for a Kafka client.
pub fn replay_part(
    settings: &Settings,
    partitions: u32,
    ranges: BTreeMap<Partition, Range<i64>>,
    has_key: impl Fn(&[u8]) -> bool + Clone + Send + 'static,
) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Step>>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    for topic in Topic::ALL {
        let of_topic = |((of, partition), range)| (of == topic).then_some((partition, range));
        let part = Part {
            name: name_of(&Topics::new(&settings.topic_prefix), topic).to_owned(),
            ranges: ranges.clone().into_iter().filter_map(of_topic).collect(),
            is_uncommitted_read: false,
            is_short_lived: false,
        };
        let has_key = has_key.clone();
        let record = move |message: &BorrowedMessage<'_>| {
            let is_wanted = has_key(message.key().unwrap_or_default());
            is_wanted.then(|| Step::Record(Box::new(Record::read(topic, message, partitions))))
        };
        let reached = move |partition, next| Some(Step::Reached((topic, partition), next));
        start(settings, part, record, reached, sender.clone())?;
    }
    Ok(receiver)
}

/// Reads a part of any topic. The channel ends when all of it is read, or at the end of the topic.
///
/// # Errors
/// The settings are invalid for a Kafka client.
pub fn read<T: Send + 'static>(
    settings: &Settings,
    part: Part,
    mut take: impl FnMut(&BorrowedMessage<'_>) -> T + Send + 'static,
) -> anyhow::Result<mpsc::Receiver<anyhow::Result<T>>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    start(settings, part, move |message| Some(take(message)), |_, _| None, sender)?;
    Ok(receiver)
}

fn start<T: Send + 'static>(
    settings: &Settings,
    part: Part,
    take: impl FnMut(&BorrowedMessage<'_>) -> Option<T> + Send + 'static,
    reached: impl FnMut(i32, i64) -> Option<T> + Send + 'static,
    sender: mpsc::Sender<anyhow::Result<T>>,
) -> anyhow::Result<()> {
    if part.ranges.is_empty() {
        return Ok(());
    }
    let consumer = consumer(settings, &part)?;
    let reader = Reader { consumer, name: part.name, left: part.ranges, take, reached, sender };
    reader
        .consumer
        .assign(&reader.list(reader.left.iter().map(|(partition, range)| (*partition, range.start)))?)?;
    std::thread::Builder::new().name("replay-log".into()).spawn(move || reader.run())?;
    Ok(())
}

/// A client that does not log the end of a partition as an error: who reads up to the end expects
/// it.
pub struct EndIsNoError;

impl ClientContext for EndIsNoError {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            kafka::log_error(&error, reason);
        }
    }
}

impl ConsumerContext for EndIsNoError {}

const DEFAULTS: &[(&str, &str)] = &[
    ("queued.min.messages", "20000"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.queue.backoff.ms", "10"),
];

fn consumer(settings: &Settings, part: &Part) -> anyhow::Result<BaseConsumer<EndIsNoError>> {
    let required = &[
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", if part.is_short_lived { "earliest" } else { "error" }),
        ("isolation.level", if part.is_uncommitted_read { "read_uncommitted" } else { "read_committed" }),
        // The last offset may hold no record but the marker of a transaction.
        ("enable.partition.eof", "true"),
    ];
    let mut config = kafka::client_config(settings)?;
    // The group is never joined, but `assign` requires a name.
    config.set("group.id", format!("{}rollcall-rebuild", settings.topic_prefix));
    OwnSettings { defaults: DEFAULTS, required }.add_to(&mut config, settings);
    Ok(config.create_with_context(EndIsNoError)?)
}

/// Reads one topic. At the end of a partition the client reports only the partition's number.
struct Reader<T, F, R> {
    consumer: BaseConsumer<EndIsNoError>,
    name: String,
    left: BTreeMap<i32, Range<i64>>,
    /// Makes the step for a record, if it is wanted.
    take: F,
    /// Makes the step for a partition that is read up to an offset.
    reached: R,
    sender: mpsc::Sender<anyhow::Result<T>>,
}

impl<T, F: FnMut(&BorrowedMessage<'_>) -> Option<T>, R: FnMut(i32, i64) -> Option<T>> Reader<T, F, R> {
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
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let end = self.position(partition)?;
                return self.done(partition, end);
            }
            Some(Err(error)) => {
                let code = error.rdkafka_error_code();
                let is_lost = matches!(
                    code,
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
                );
                anyhow::ensure!(!is_lost, LostOffsets);
                tracing::warn!(target: "librdkafka", "reading the log failed, retrying: {error}");
                return Ok(());
            }
        };
        let (partition, offset) = (message.partition(), message.offset());
        let Some(end) = self.left.get(&partition).map(|range| range.end) else { return Ok(()) };
        if offset < end
            && let Some(step) = (self.take)(&message)
        {
            let _ = self.sender.blocking_send(Ok(step));
        }
        drop(message);
        if offset + 1 >= end { self.done(partition, end) } else { Ok(()) }
    }

    /// The position in a partition that was read to its end: behind control records and aborted
    /// transactions, which the client does not return.
    fn position(&self, partition: i32) -> anyhow::Result<i64> {
        let positions = self.consumer.position()?;
        let position = positions.find_partition(&self.name, partition).map(|found| found.offset());
        let start = self.left.get(&partition).map_or(0, |range| range.start);
        Ok(position.and_then(|offset| offset.to_raw()).map_or(start, |offset| offset.max(start)))
    }

    fn done(&mut self, partition: i32, next: i64) -> anyhow::Result<()> {
        if let Some(range) = self.left.remove(&partition) {
            if let Some(reached) = (self.reached)(partition, next.min(range.end)) {
                let _ = self.sender.blocking_send(Ok(reached));
            }
            self.consumer.pause(&self.list([(partition, 0)].into_iter())?)?;
        }
        Ok(())
    }

    fn list(&self, offsets: impl Iterator<Item = (i32, i64)>) -> anyhow::Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.name, partition, Offset::Offset(offset))?;
        }
        Ok(list)
    }
}
