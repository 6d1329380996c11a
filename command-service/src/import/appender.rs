//! Appends records in a pipeline, with a limit on the records in flight.

use crate::log::{AppendError, Delivery, Log, Record};
use anyhow::anyhow;
use std::collections::{HashMap, VecDeque};

/// How many records may be in flight.
const MAX_RECORDS: usize = 2_000;
/// How many bytes may be in flight.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The last offset of this import in each partition.
pub(super) type Reached = HashMap<u32, i64>;

/// A record in flight.
struct Sent {
    line: u64,
    bytes: usize,
    delivery: Delivery,
}

/// Appends in a pipeline.
pub(super) struct Appender {
    log: Log,
    partitions: u32,
    in_flight: VecDeque<Sent>,
    bytes: usize,
    reached: Reached,
}

impl Appender {
    pub(super) fn new(log: Log, partitions: u32) -> Self {
        Self { log, partitions, in_flight: VecDeque::new(), bytes: 0, reached: Reached::new() }
    }

    /// Sends a record. Waits only while too many are in flight.
    pub(super) async fn append(&mut self, line: u64, record: Record) -> anyhow::Result<()> {
        let bytes = record.value.len();
        while self.in_flight.len() >= MAX_RECORDS || self.bytes > MAX_BYTES {
            self.await_first().await?;
        }
        let delivery = self.log.send(&record, self.partitions).map_err(|error| failed(line, error))?;
        self.bytes += bytes;
        self.in_flight.push_back(Sent { line, bytes, delivery });
        Ok(())
    }

    /// Waits for all records in flight and returns the last offsets.
    pub(super) async fn finish(mut self) -> anyhow::Result<Reached> {
        while !self.in_flight.is_empty() {
            self.await_first().await?;
        }
        Ok(self.reached)
    }

    async fn await_first(&mut self) -> anyhow::Result<()> {
        let Some(Sent { line, bytes, delivery }) = self.in_flight.pop_front() else { return Ok(()) };
        self.bytes -= bytes;
        let position = self.log.await_delivery(delivery).await.map_err(|error| failed(line, error))?;
        let reached = self.reached.entry(position.partition).or_default();
        *reached = position.offset.max(*reached);
        Ok(())
    }
}

fn failed(line: u64, error: AppendError) -> anyhow::Error {
    let what = match error {
        AppendError::Full | AppendError::Unavailable | AppendError::Refused => "was not accepted by the log",
        AppendError::Unknown => "was not confirmed by the log in time",
    };
    anyhow!("line {line} {what}. Import the same lines again: those that are in the log are skipped")
}
