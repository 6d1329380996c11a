//! The callbacks of the Kafka client: statistics and rebalances.

use super::{
    ConsumerEvent,
    read_positions::ReadPositions,
    state::{ConsumerState, locked},
};
use event_log::log_ends::{BROKER_TIMEOUT, Ends, name_of, topic_of};
use events_schema::Partition;
use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    statistics::Broker,
    types::RDKafkaRespErr,
};
use service_kit::kafka::{Contact, Topics};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

/// How long a connected broker may be silent, although it is asked all the time. A frozen broker
/// keeps its connections.
const MAX_SILENCE: Duration = Duration::from_secs(4);
/// The pause between two requests for the ends of a partition.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A member of the consumer group.
#[derive(Clone)]
pub(super) struct GroupMember {
    pub(super) topics: Topics,
    pub(super) events: mpsc::Sender<ConsumerEvent>,
    pub(super) state: ConsumerState,
    pub(super) contact: Arc<Contact>,
    pub(super) positions: Arc<Mutex<ReadPositions>>,
}

impl ClientContext for GroupMember {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::warn!(target: "librdkafka", "the log's consumer reports {error}: {reason}");
        self.set_connected(false);
    }

    fn stats(&self, statistics: Statistics) {
        self.set_connected(statistics.brokers.values().any(is_alive));
        let (mut ends, mut open) = (self.state.ends(), self.state.open_transactions());
        let (positions, now) = (locked(&self.positions), OffsetDateTime::now_utc());
        for (name, topic) in &statistics.topics {
            let Some(ours) = topic_of(&self.topics, name) else { continue };
            for (number, partition) in &topic.partitions {
                if partition.ls_offset >= 0 {
                    ends.insert((ours, *number), partition.ls_offset);
                }
                if positions.has((ours, *number)) {
                    open.update((ours, *number), partition.ls_offset, partition.hi_offset, now);
                }
            }
        }
    }
}

fn is_alive(broker: &Broker) -> bool {
    broker.state == "UP" && broker.nodeid >= 0 && broker.rxidle < MAX_SILENCE.as_micros() as i64
}

impl ConsumerContext for GroupMember {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => {
                self.start_reading(&BTreeMap::new());
                let _ = self.events.blocking_send(ConsumerEvent::Revoked);
                consumer.unassign()
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a change of the assignment failed");
        }
    }
}

impl GroupMember {
    pub(super) fn set_connected(&self, is_connected: bool) {
        self.state.is_connected.store(is_connected, Ordering::Relaxed);
        self.contact.seen(is_connected);
    }

    fn start_reading(&self, offsets: &BTreeMap<Partition, i64>) {
        self.state.open_transactions().clear();
        locked(&self.positions).start(offsets);
    }

    /// Asks the pipeline for the offsets and starts reading there. Blocks until it answers.
    pub(super) fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let Some(partitions) = self.ends(consumer, list) else { return consumer.unassign() };
        self.set_connected(true);
        let (reply, answer) = oneshot::channel();
        let asked = self.events.blocking_send(ConsumerEvent::Assigned { partitions, reply });
        let offsets = asked.ok().and_then(|()| answer.blocking_recv().ok());
        let Some(offsets) = offsets else { return consumer.unassign() };
        self.start_reading(&offsets);
        let mut assignment = TopicPartitionList::new();
        for ((topic, partition), offset) in offsets {
            let name = name_of(&self.topics, topic);
            assignment.add_partition_offset(name, partition, Offset::Offset(offset))?;
        }
        consumer.assign(&assignment)
    }

    /// The ends of the partitions of a list; `None` if the thread is to stop.
    fn ends(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Option<BTreeMap<Partition, Ends>> {
        let mut partitions = BTreeMap::new();
        for element in list.elements() {
            let Some(topic) = topic_of(&self.topics, element.topic()) else { continue };
            let ends = self.ends_of(consumer, element.topic(), element.partition())?;
            partitions.insert((topic, element.partition()), ends);
        }
        Some(partitions)
    }

    fn ends_of(&self, consumer: &BaseConsumer<Self>, topic: &str, partition: i32) -> Option<Ends> {
        loop {
            match consumer.fetch_watermarks(topic, partition, BROKER_TIMEOUT) {
                Ok((low, high)) => return Some(Ends { low, high }),
                Err(error) => tracing::warn!(%error, "asking for the ends of the log failed, retrying"),
            }
            if self.state.stop.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }
}
