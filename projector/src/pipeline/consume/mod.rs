//! Step 1, collect: makes a batch of the queued records. The consumer has a thread of its own,
//! which decodes records and sends them through one bounded channel. While the channel is full, the
//! thread waits.
//!
//! The offsets to read from come from PostgreSQL. The offsets that are committed to Kafka only
//! serve tools that show lag.

mod consumer;
mod gather;
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

/// An event that the consumer sends to the pipeline.
pub(crate) enum ConsumerEvent {
    /// A record.
    Record(Box<Record>),
    /// A partition was read up to `next`. Between the last record and `next` lie only control
    /// records and aborted transactions, so no record tells this offset.
    AdvancedWithoutRecord {
        /// The partition.
        partition: Partition,
        /// The first offset that was not read.
        next: i64,
    },
    /// The group assigned these partitions to this process. The consumer waits for the offsets to
    /// read from.
    Assigned {
        /// The partitions with the ends of their logs.
        partitions: BTreeMap<Partition, Ends>,
        /// Receives the offsets.
        reply: oneshot::Sender<BTreeMap<Partition, i64>>,
    },
    /// This process owns no partition until the next assignment.
    Revoked,
}

/// The channel between the consumer's thread and the pipeline.
pub(crate) type EventQueue = mpsc::Receiver<ConsumerEvent>;

impl Pipeline {
    /// Collects queued records until the batch is full, the queue is empty, or an event is about an
    /// assignment. Returns that event. While records are folded one by one, a batch has one record.
    pub(super) async fn collect_batch(
        &mut self,
        first: ConsumerEvent,
        events: &mut EventQueue,
    ) -> (Batch, Option<ConsumerEvent>) {
        gather::gather(events, self.last_batch).await;
        let (batch, next_event) = self.drain(first, events);
        self.last_batch = batch.len();
        (batch, next_event)
    }

    fn drain(&self, first: ConsumerEvent, events: &mut EventQueue) -> (Batch, Option<ConsumerEvent>) {
        let mut batch = Batch::default();
        let mut event = Some(first);
        while let Some(next) = event.take() {
            match next {
                ConsumerEvent::Record(record) => self.add_record(&mut batch, *record),
                ConsumerEvent::AdvancedWithoutRecord { partition, next } => {
                    self.add_end(&mut batch, partition, next)
                }
                other => return (batch, Some(other)),
            }
            if !batch.is_full() && !self.is_one_by_one() {
                event = events.try_recv().ok();
            }
        }
        (batch, None)
    }

    /// Adds a record, unless its partition is no longer owned or its offset is already covered.
    fn add_record(&self, batch: &mut Batch, record: Record) {
        let Some((start, next)) = self.offsets_in(batch, record.partition) else { return };
        if record.offset >= next {
            batch.push(self.discarded.apply(record), start);
        }
    }

    /// Moves a partition to `end` without a record, unless it is no longer owned or already there.
    fn add_end(&self, batch: &mut Batch, partition: Partition, end: i64) {
        let Some((start, next)) = self.offsets_in(batch, partition) else { return };
        if end > next {
            batch.advance(partition, start, end);
        }
    }

    /// The next offset of an owned partition before the batch, and after it.
    fn offsets_in(&self, batch: &Batch, partition: Partition) -> Option<(i64, i64)> {
        let start = *self.owned.get(&partition)?;
        Some((start, batch.spans.get(&partition).map_or(start, |span| span.next)))
    }
}
