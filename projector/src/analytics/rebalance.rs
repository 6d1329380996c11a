//! Starting again after a rebalance: from the offsets that the group has committed.

use super::{
    configs::Configs,
    pending::Pending,
    session::Session,
    start_plan::{Committed, PossibleDuplicates, StartPlan, start_plan},
    transaction::Transactions,
    written_ids::written_ids,
};
use anyhow::Context as _;
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _};
use std::time::Duration;
use time::OffsetDateTime;

/// How long a broker may take to answer.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// How far back written events are looked for if nothing is noted beside an offset. An earlier
/// release wrote no notes, and an operator may set offsets by hand.
const UNNOTED_AGE: Duration = Duration::from_secs(3_600);

impl Session<'_> {
    /// After a rebalance, starts from the committed offsets with a new producer. The producer is
    /// made at once, because an open transaction of its predecessor makes the offsets unreadable.
    /// Returns whether there was a rebalance.
    pub(super) fn handle_rebalance(&mut self) -> anyhow::Result<bool> {
        let Some(partitions) = self.consumer.context().take_assignment() else { return Ok(false) };
        self.pending = Pending::default();
        self.resume(&partitions)?;
        self.paused.clear();
        let Configs { producer, group, topics, .. } = self.configs;
        self.transactions = None;
        if let Some(first) = partitions.iter().min() {
            let (source, target) = (&topics.users, &topics.analytics);
            let transactions = Transactions::start(producer, group, *first, source, target)?;
            let member = self.consumer.group_metadata().context("the consumer is not a member of a group")?;
            transactions.abort_unfinished(&member).context("an unfinished transaction can't be aborted")?;
            self.start_reading(&partitions)?;
            self.transactions = Some(transactions);
        }
        Ok(true)
    }

    /// Reads from where the last transaction began, and finds out which events were written since
    /// then.
    fn start_reading(&mut self, partitions: &[i32]) -> anyhow::Result<()> {
        let now = OffsetDateTime::now_utc().unix_timestamp() * 1_000;
        let committed = self.committed(partitions)?;
        let StartPlan { offsets, since } = start_plan(&committed, now - UNNOTED_AGE.as_millis() as i64);
        let written =
            since.map(|since| written_ids(&self.configs.consumer, &self.configs.topics.analytics, since));
        self.written = written.transpose()?.unwrap_or_default();
        let until = committed.iter().map(|committed| (committed.partition, committed.end)).collect();
        self.duplicates = PossibleDuplicates { until, since: since.unwrap_or(now) };
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            let offset = offset.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.configs.topics.users, partition, offset)?;
        }
        Ok(self.consumer.assign(&list)?)
    }

    fn committed(&self, partitions: &[i32]) -> anyhow::Result<Vec<Committed>> {
        let committed = self.consumer.committed_offsets(self.list(partitions), BROKER_TIMEOUT)?;
        let all = committed.elements().into_iter().map(|element| {
            let next = match element.offset() {
                Offset::Offset(next) => Some((next, element.metadata().parse().ok())),
                _ => None,
            };
            let (topic, partition) = (element.topic(), element.partition());
            let (_, end) = self.consumer.fetch_watermarks(topic, partition, BROKER_TIMEOUT)?;
            Ok(Committed { partition, next, end })
        });
        all.collect()
    }
}
