//! A pass over a partition: the states of users, folded in memory from the beginning.

use crate::pipeline::{Batch, Fold, States};
use event_log::record::Record;
use events_schema::Partition;
use key_store::Keys;
use read_model::write::{Effects, Span, UserRow};
use std::{collections::BTreeMap, ops::Range};

/// The states of a pass.
pub(super) struct Pass {
    fold: Fold,
    waiting: Batch,
    spans: BTreeMap<Partition, Span>,
    pub(super) records: u64,
}

impl Pass {
    pub(super) fn new(ranges: &BTreeMap<Partition, Range<i64>>) -> Self {
        let span = |(place, range): (&Partition, &Range<i64>)| {
            (*place, Span { from: range.start, next: range.end, time: None })
        };
        Self {
            fold: Fold::new(States::default()),
            waiting: Batch::default(),
            spans: ranges.iter().map(span).collect(),
            records: 0,
        }
    }

    pub(super) fn add(&mut self, record: Record) {
        if let Some(span) = self.spans.get_mut(&record.partition) {
            span.time = record.time.or(span.time);
        }
        let from = record.offset;
        self.waiting.push(record, from);
    }

    /// The log may end before the range does.
    pub(super) fn reached(&mut self, partition: Partition, next: i64) {
        if let Some(span) = self.spans.get_mut(&partition) {
            span.next = next.max(span.from);
        }
    }

    /// Folds the waiting records, with their keys. Returns how many.
    pub(super) async fn fold(&mut self, keys: &Keys) -> anyhow::Result<u64> {
        let batch = std::mem::take(&mut self.waiting);
        let read = u64::try_from(batch.len())?;
        self.fold.set_keys(keys.get_many(&batch.key_owners()).await?);
        batch.into_records().for_each(|record| self.fold.record(record));
        self.records += read;
        Ok(read)
    }

    /// Whether enough records wait to be folded.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.is_full()
    }

    /// How many users had to be parked.
    pub(super) fn parked(&self) -> usize {
        self.fold.newly_parked()
    }

    /// Whether the states fit into so much memory.
    pub(super) fn fits_into(&mut self, memory: usize) -> bool {
        if self.fold.held() <= memory {
            return true;
        }
        self.fold.pack();
        // Packing after every few records would take long.
        self.fold.held() <= memory / 4 * 3
    }

    /// What all records together change, and the rows of the users that exist.
    pub(super) fn finish(self) -> (Effects, impl Iterator<Item = serde_json::Result<UserRow>> + use<>) {
        self.fold.finish_one_by_one(self.spans)
    }
}
