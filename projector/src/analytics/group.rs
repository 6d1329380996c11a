//! What the consumer group tells this member.

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, ConsumerContext, Rebalance},
};
use service_kit::kafka::Contact;
use std::sync::{Mutex, PoisonError};

/// Hears of assignments and of the log's end.
#[derive(Default)]
pub(super) struct Member {
    state: Mutex<State>,
    contact: Contact,
}

#[derive(Default)]
struct State {
    /// The partitions since the last rebalance, until they are taken notice of.
    news: Option<Vec<i32>>,
    /// Records that are in the log and have not been read.
    unread: i64,
}

impl Member {
    /// The partitions that are this member's now, if that changed since last asked.
    pub(super) fn news(&self) -> Option<Vec<i32>> {
        self.with(|state| state.news.take())
    }

    /// Records that are in the log and have not been read, as of a few seconds ago.
    pub(super) fn unread(&self) -> i64 {
        self.with(|state| state.unread)
    }

    /// Whether no broker was there for long.
    pub(super) fn is_lost(&self) -> bool {
        self.contact.is_lost()
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
        // -1: not known yet, or not ours.
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
        self.with(|state| state.news = Some(partitions));
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
}
