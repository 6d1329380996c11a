//! The consumer's thread: it polls Kafka, decodes records and sends them to the pipeline.

use super::{ConsumerEvent, group_member::GroupMember, state::locked};
use event_log::{
    log_ends::{name_of, topic_of},
    record::Record,
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use service_kit::kafka::Topics;
use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How long a poll waits for a record. A record that arrives ends the wait.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a position may wait while records keep arriving.
const MAX_END_DELAY: Duration = Duration::from_millis(20);
/// How often the folded offsets are committed to Kafka, for tools that show lag.
const OFFSET_COMMIT_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct ConsumerThread {
    pub(super) config: ClientConfig,
    pub(super) consumer: BaseConsumer<GroupMember>,
    pub(super) topics: Topics,
    pub(super) events: mpsc::Sender<ConsumerEvent>,
    pub(super) partition_count: u32,
    /// Partitions that were read to their end, since their positions were last asked for.
    pub(super) ended: Ended,
}

/// Partitions at their end, by number, and since when the first of them is.
#[derive(Default)]
pub(super) struct Ended {
    partitions: BTreeSet<i32>,
    since: Option<Instant>,
}

impl Ended {
    fn add(&mut self, partition: i32) {
        self.partitions.insert(partition);
        self.since.get_or_insert_with(Instant::now);
    }

    /// How long the next poll may wait. Positions are asked for once no more records are queued.
    fn poll_timeout(&self) -> Duration {
        if self.partitions.is_empty() { POLL_TIMEOUT } else { Duration::ZERO }
    }

    fn is_overdue(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > MAX_END_DELAY)
    }
}

impl ConsumerThread {
    pub(super) fn run(mut self) {
        let state = self.consumer.context().state.clone();
        let mut last_commit = Instant::now();
        while !state.stop.load(Ordering::Relaxed) && !self.events.is_closed() {
            self.poll();
            self.rejoin_or_reassign();
            let brokers = self.config.get("bootstrap.servers").unwrap_or_default();
            if self.consumer.context().contact.is_lost(brokers) {
                tracing::warn!("the log's consumer does not find a broker that is reachable: it is replaced");
                self.replace_client();
            }
            if last_commit.elapsed() > OFFSET_COMMIT_INTERVAL {
                self.commit_offsets();
                last_commit = Instant::now();
            }
        }
        self.commit_offsets();
    }

    pub(super) fn subscribe(&self) -> Result<(), KafkaError> {
        self.consumer.subscribe(&[&self.topics.users, &self.topics.credentials])
    }

    /// Leaves the group with this client and joins it with a new one, which also finds brokers that
    /// the old one may not find again. The old client gives up its partitions before the new one
    /// asks for any. Otherwise their revocation would arrive after their assignment.
    fn replace_client(&mut self) {
        let member = GroupMember::clone(self.consumer.context());
        match self.config.create_with_context(member) {
            Ok(new) => drop(std::mem::replace(&mut self.consumer, new)),
            Err(error) => return tracing::error!(%error, "the log's consumer can't be replaced"),
        }
        if let Err(error) = self.subscribe() {
            tracing::warn!(%error, "joining the group failed");
        }
    }

    fn poll(&mut self) {
        match self.consumer.poll(self.ended.poll_timeout()) {
            Some(Ok(message)) => self.send(&message),
            Some(Err(KafkaError::PartitionEOF(partition))) => self.ended.add(partition),
            Some(Err(error)) => self.handle_error(&error),
            None => self.send_ends(),
        }
        if self.ended.is_overdue() {
            self.send_ends();
        }
    }

    fn send(&self, message: &BorrowedMessage<'_>) {
        let member = self.consumer.context();
        member.set_connected(true);
        let Some(topic) = topic_of(&self.topics, message.topic()) else { return };
        let record = Record::read(topic, message, self.partition_count);
        locked(&member.positions).sent(record.partition, record.offset);
        let _ = self.events.blocking_send(ConsumerEvent::Record(Box::new(record)));
    }

    fn handle_error(&self, error: &KafkaError) {
        tracing::warn!(target: "librdkafka", "reading the log failed, retrying: {error}");
        let code = error.rdkafka_error_code();
        if matches!(code, Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) {
            // The requested offset does not exist. The next assignment compares it with the ends.
            self.consumer.context().state.reassign();
        }
    }

    /// Handles the ends of partitions. The client reports the number of a partition but not its
    /// topic, so both topics are checked. The position lies after control records and aborted
    /// transactions, which the client does not return.
    ///
    /// Asking for positions takes a round trip to another thread of the client, so it is done once
    /// for all partitions that ended meanwhile. A later position is as good: everything before it
    /// was returned.
    ///
    /// The position is never one of an earlier assignment. Before the client reads a new
    /// assignment, it stops the partitions of the old one, which resets their positions, and drops
    /// their queued records.
    fn send_ends(&mut self) {
        let Ended { partitions: ended, .. } = std::mem::take(&mut self.ended);
        if ended.is_empty() {
            return;
        }
        let member = self.consumer.context();
        member.set_connected(true);
        let positions = self.consumer.position().inspect_err(|error| tracing::warn!(%error, "no position"));
        for element in positions.iter().flat_map(TopicPartitionList::elements) {
            let Some(topic) = topic_of(&self.topics, element.topic()) else { continue };
            let Offset::Offset(next) = element.offset() else { continue };
            if !ended.contains(&element.partition()) {
                continue;
            }
            let partition = (topic, element.partition());
            if locked(&member.positions).advance(partition, next) {
                let _ = self.events.blocking_send(ConsumerEvent::AdvancedWithoutRecord { partition, next });
            }
        }
    }

    /// Does what the pipeline has requested.
    fn rejoin_or_reassign(&mut self) {
        let state = self.consumer.context().state.clone();
        if state.rejoin.swap(false, Ordering::Relaxed) {
            state.reassign.store(false, Ordering::Relaxed);
            // Not by unsubscribing and subscribing: librdkafka (2.12.1) defers a subscription while
            // a rebalance is open, and aborts the process where the client is closed before the
            // rebalance is over.
            self.replace_client();
        } else if state.reassign.swap(false, Ordering::Relaxed)
            && let Err(error) = self.reassign()
        {
            tracing::warn!(%error, "assigning the partitions again failed");
        }
    }

    fn reassign(&self) -> Result<(), KafkaError> {
        let list = self.consumer.assignment()?;
        if list.count() == 0 { Ok(()) } else { self.consumer.context().clone().assign(&self.consumer, &list) }
    }

    fn commit_offsets(&self) {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in self.consumer.context().state.folded().iter() {
            let name = name_of(&self.topics, *topic);
            let _ = list.add_partition_offset(name, *partition, Offset::Offset(*next));
        }
        if list.count() > 0 {
            let _ = self.consumer.commit(&list, CommitMode::Async);
        }
    }
}
