//! The offsets of the partitions that this process owns, and where they are reported.

use super::Pipeline;
use crate::{catch_up::announcements, metrics};
use events_schema::{Partition, Topic};
use read_model::write::Effects;
use std::{collections::BTreeMap, sync::atomic::Ordering};
use time::OffsetDateTime;

impl Pipeline {
    /// Replaces the set of owned partitions and their offsets. Forgets what was committed as their
    /// owner so far.
    pub(super) fn set_owned(&mut self, offsets: BTreeMap<Partition, i64>) {
        self.remembered.clear();
        let lost = self.owned.keys().filter(|partition| !offsets.contains_key(partition));
        lost.copied().for_each(metrics::hide);
        self.consumer.folded().clone_from(&offsets);
        self.owned = offsets;
    }

    /// Moves the owned partitions to the end of a committed batch.
    pub(super) fn record_offsets(&mut self, effects: &Effects) {
        let mut folded = self.consumer.folded();
        for (partition, span) in &effects.spans {
            self.owned.insert(*partition, span.next);
            folded.insert(*partition, span.next);
            if let Some(time) = span.time {
                self.record_times.insert(*partition, time.get());
            }
        }
    }

    /// The first offset that is not folded, of each owned partition of `users.events`.
    pub(crate) fn user_offsets(&self) -> BTreeMap<i32, i64> {
        let users = self.owned.iter().filter(|((topic, _), _)| *topic == Topic::Users);
        users.map(|((_, partition), next)| (*partition, *next)).collect()
    }

    /// The announcements of the owned partitions: their offsets and the ends of their logs. Empty
    /// while Kafka is unreachable, because the ends are unknown then.
    pub(crate) fn announcements(&self) -> Vec<String> {
        if !self.consumer.is_connected.load(Ordering::Relaxed) {
            return Vec::new();
        }
        announcements(self.store.generation, &self.owned, &self.consumer.ends())
    }

    /// Updates the gauges of lag, and warns of transactions that are open for long.
    pub(crate) fn show_lag(&self) {
        let now = OffsetDateTime::now_utc();
        let (ends, mut open) = (self.consumer.ends(), self.consumer.open_transactions());
        for (partition, next) in &self.owned {
            let records = ends.get(partition).map_or(0, |end| (end - next).max(0));
            metrics::show_lag(*partition, records, self.record_times.get(partition).copied());
            metrics::show_open(*partition, open.waiting(*partition, now));
        }
        for ((topic, partition), transaction) in open.newly_long(now) {
            tracing::warn!(
                topic = topic.as_str(),
                partition,
                "{transaction}: records behind it are folded once its producer commits or aborts it, or Kafka aborts it"
            );
        }
    }
}
