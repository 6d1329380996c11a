//! One membership in the consumer group: read and derive, wait for the fold, commit the events of
//! accepted records.

use super::{
    configs::Configs,
    decode::decode,
    derive,
    group::Member,
    metrics,
    outcomes::Outcomes,
    pending::{Candidate, Pending},
    start_plan::PossibleDuplicates,
    transaction::Transactions,
};
use anyhow::Context as _;
use events_schema::{UserRecord, analytics::Level};
use key_store::KeyRing;
use rdkafka::{
    Message as _, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
    types::RDKafkaErrorCode,
};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long records are gathered. Their events are committed after one more such time. The START of
/// the same request must come first in the topic: it left the service earlier, but waits in a queue
/// and in a producer that fills batches for some milliseconds.
const GATHER_TIME: Duration = Duration::from_millis(300);
/// How long an idle session waits for a record. A stop may have to wait as long.
const IDLE_TIMEOUT: Duration = Duration::from_millis(250);
/// The rough size of a record without its data.
const BASE_SIZE: usize = 512;

/// A member of the group.
pub(super) struct Session<'a> {
    pub(super) configs: &'a Configs,
    pub(super) outcomes: &'a Outcomes,
    pub(super) consumer: BaseConsumer<Member>,
    /// The producer, while partitions are assigned.
    pub(super) transactions: Option<Transactions>,
    pub(super) pending: Pending,
    pub(super) paused: HashSet<i32>,
    /// Events that are in the topic already, of records that are read again.
    pub(super) written: HashSet<Uuid>,
    pub(super) duplicates: PossibleDuplicates,
}

impl<'a> Session<'a> {
    /// Joins the group.
    pub(super) fn open(configs: &'a Configs, outcomes: &'a Outcomes) -> anyhow::Result<Self> {
        let consumer: BaseConsumer<Member> = configs.consumer.create_with_context(Member::default())?;
        consumer.subscribe(&[&configs.topics.users])?;
        let (pending, paused, written, duplicates) = Default::default();
        Ok(Self { configs, outcomes, consumer, transactions: None, pending, paused, written, duplicates })
    }

    /// Works until a stop is requested. No transaction is open between two rounds.
    pub(super) fn run(mut self, is_stopped: impl Fn() -> bool) -> anyhow::Result<()> {
        while !is_stopped() {
            self.pending.ripen();
            self.gather()?;
            self.commit_ripe()?;
            self.pause_full_partitions()?;
            let brokers = self.configs.consumer.get("bootstrap.servers").unwrap_or_default();
            let is_lost = self.consumer.context().is_lost(brokers);
            anyhow::ensure!(!is_lost, "the client does not find a broker that is reachable");
            metrics::set_lag(self.consumer.context().unread() + self.pending.len() as i64);
        }
        Ok(())
    }

    /// Reads what arrives within a short time. On an idle log, waits for the first record. Polling
    /// also keeps this member in the group, so it continues while the fold is behind.
    fn gather(&mut self) -> anyhow::Result<()> {
        let mut is_idle = self.pending.is_empty();
        let mut end = Instant::now() + if is_idle { IDLE_TIMEOUT } else { GATHER_TIME };
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let candidate = match self.consumer.poll(left) {
                Some(Ok(message)) => Some((message.partition(), self.candidate(&message)?)),
                Some(Err(error)) => ignore_transient(error).map(|()| None)?,
                None => None,
            };
            if self.handle_rebalance()? {
                // The record is read again, or another member reads it.
                continue;
            }
            if let Some((partition, candidate)) = candidate {
                self.pending.push(partition, candidate);
                if std::mem::take(&mut is_idle) {
                    end = Instant::now() + GATHER_TIME;
                }
            }
        }
        Ok(())
    }

    /// Derives the SUCCESS of a record. A record that can't be decoded has none: the projector
    /// parks or skips it.
    fn candidate(&self, message: &BorrowedMessage<'_>) -> anyhow::Result<Candidate> {
        let level = self.configs.level;
        let derive = |record: UserRecord| {
            let keys = match level {
                Level::Full => self.outcomes.keys_of(&record.key)?,
                Level::Metadata | Level::NonSensitive => KeyRing::new(),
            };
            anyhow::Ok(derive::success(record, level, &keys))
        };
        let success = decode(message).map(derive).transpose()?.flatten();
        let success = success.filter(|success| !self.written.contains(&success.id));
        let data = if level == Level::Full { message.payload_len() } else { 0 };
        Ok(Candidate { offset: message.offset(), success, bytes: BASE_SIZE + data })
    }

    /// Commits what is ripe and folded.
    fn commit_ripe(&mut self) -> anyhow::Result<()> {
        let Some(transactions) = &self.transactions else { return Ok(()) };
        let rejected = match self.outcomes.rejected(&self.pending.ranges()) {
            Ok(rejected) => rejected,
            Err(error) => {
                tracing::warn!(%error, "asking for the outcome of events failed, retrying");
                return Ok(());
            }
        };
        let (parts, successes) = self.pending.committable(&rejected);
        if parts.is_empty() {
            return Ok(());
        }
        let group = self.consumer.group_metadata().context("the consumer is not a member of a group")?;
        transactions.commit(&group, &parts, &successes, &self.duplicates)?;
        metrics::count_derived(successes.len());
        self.pending.remove(&parts);
        Ok(())
    }

    /// Pauses partitions of which much is pending, and resumes the others.
    fn pause_full_partitions(&mut self) -> anyhow::Result<()> {
        let full = self.pending.full();
        let resumed: Vec<i32> = self.paused.difference(&full).copied().collect();
        let paused: Vec<i32> = full.difference(&self.paused).copied().collect();
        self.resume(&resumed)?;
        if !paused.is_empty() {
            self.consumer.pause(&self.list(&paused))?;
        }
        self.paused = full;
        Ok(())
    }

    pub(super) fn resume(&self, partitions: &[i32]) -> anyhow::Result<()> {
        if !partitions.is_empty() {
            self.consumer.resume(&self.list(partitions))?;
        }
        Ok(())
    }

    pub(super) fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.configs.topics.users, *partition);
        }
        list
    }
}

/// Ignores errors from which the client recovers.
fn ignore_transient(error: KafkaError) -> anyhow::Result<()> {
    use RDKafkaErrorCode as Code;
    match error {
        // The client finds a topic that has just been created only after minutes. A new session
        // finds it at once.
        KafkaError::MessageConsumption(Code::UnknownTopicOrPartition | Code::UnknownTopic)
        | KafkaError::MessageConsumptionFatal(_) => Err(error.into()),
        _ => {
            tracing::debug!(%error, "reading the log for analytics failed, retrying");
            Ok(())
        }
    }
}
