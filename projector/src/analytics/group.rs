//! The callbacks of the Kafka client: statistics and rebalances.

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, ConsumerContext, Rebalance},
};
use service_kit::kafka::Contact;
use std::sync::{Mutex, PoisonError};

/// A member of the consumer group.
#[derive(Default)]
pub(super) struct Member {
    state: Mutex<State>,
    contact: Contact,
}

#[derive(Default)]
struct State {
    /// The partitions of the last rebalance, until they are taken.
    assignment: Option<Vec<i32>>,
    /// Records in the log that are not read yet.
    unread: i64,
}

impl Member {
    /// The assigned partitions, if there was a rebalance since the last call.
    pub(super) fn take_assignment(&self) -> Option<Vec<i32>> {
        self.with(|state| state.assignment.take())
    }

    /// Records in the log that were not read yet a few seconds ago.
    pub(super) fn unread(&self) -> i64 {
        self.with(|state| state.unread)
    }

    /// Whether this member does not find a broker, although one of these is reachable.
    pub(super) fn is_lost(&self, brokers: &str) -> bool {
        self.contact.is_lost(brokers)
    }

    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Member {
    fn stats(&self, statistics: Statistics) {
        self.contact
            .seen(statistics.brokers.values().any(|broker| broker.state == "UP" && broker.nodeid >= 0));
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        // The lag is -1 if it is not known yet, or the partition is not ours.
        let unread = partitions.map(|partition| partition.consumer_lag_stored.max(0)).sum();
        self.with(|state| state.unread = unread);
    }
}

impl ConsumerContext for Member {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let partitions = match rebalance {
            Rebalance::Assign(list) => partitions(list),
            Rebalance::Revoke(_) | Rebalance::Error(_) => Vec::new(),
        };
        self.with(|state| state.assignment = Some(partitions));
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
}
