//! Step 1, consume: what is queued becomes a batch. The consumer has a thread of its own, which
//! decodes records and sends them down one bounded channel, so that back-pressure is natural.
//!
//! The offsets to read from come from PostgreSQL. Those that Kafka keeps are only for its own
//! tools.

mod consumer;
mod group_member;
mod open_transactions;
mod read_positions;
mod state;
mod thread;

pub(crate) use consumer::Consumer;
pub(crate) use state::{ConsumerState, locked};

use super::{Batch, Pipeline};
use event_log::{log_ends::Ends, record::Record};
use events_schema::Partition;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// What the consumer sends to the pipeline.
pub(crate) enum ConsumerEvent {
    /// A record.
    Record(Box<Record>),
    /// A partition is read up to an offset, and its last records are no records for readers:
    /// control records, or those of aborted transactions.
    Reached {
        /// The partition.
        partition: Partition,
        /// The first offset behind them.
        next: i64,
    },
    /// The group assigned these partitions to us, and asks for the offsets to read from.
    Assigned {
        /// The partitions with the ends of their logs.
        partitions: BTreeMap<Partition, Ends>,
        /// Takes the offsets.
        reply: oneshot::Sender<BTreeMap<Partition, i64>>,
    },
    /// No partition is ours until the next assignment.
    Revoked,
}

/// The channel between the consumer's thread and the pipeline.
pub(crate) type EventQueue = mpsc::Receiver<ConsumerEvent>;

impl Pipeline {
    /// Collects what is queued, until the batch is full or an event is about an assignment. That
    /// event is returned.
    pub(super) fn consume(
        &self,
        first: ConsumerEvent,
        events: &mut EventQueue,
    ) -> (Batch, Option<ConsumerEvent>) {
        let mut batch = Batch::default();
        let mut event = Some(first);
        while let Some(next) = event.take() {
            match next {
                ConsumerEvent::Record(record) => self.add_record(&mut batch, *record),
                ConsumerEvent::Reached { partition, next } => self.add_end(&mut batch, partition, next),
                other => return (batch, Some(other)),
            }
            if !batch.is_full() && !self.is_one_by_one() {
                event = events.try_recv().ok();
            }
        }
        (batch, None)
    }

    /// Adds a record. One that was read before the partition was lost or read again is left out.
    fn add_record(&self, batch: &mut Batch, record: Record) {
        let Some((start, next)) = self.offsets_in(batch, record.partition) else { return };
        if record.offset >= next {
            batch.push(self.discarded.apply(record), start);
        }
    }

    /// Adds the end of a partition, under the same condition.
    fn add_end(&self, batch: &mut Batch, partition: Partition, end: i64) {
        let Some((start, next)) = self.offsets_in(batch, partition) else { return };
        if end > next {
            batch.reach(partition, start, end);
        }
    }

    /// The next offset of an owned partition: before the batch, and behind it.
    fn offsets_in(&self, batch: &Batch, partition: Partition) -> Option<(i64, i64)> {
        let start = *self.owned.get(&partition)?;
        Some((start, batch.spans.get(&partition).map_or(start, |span| span.next)))
    }
}
