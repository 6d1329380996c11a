//! Many records on their way to the log at once, but not too many.

use crate::{
    append::{AppendError, Log, Record},
    delivery::Delivery,
};
use anyhow::anyhow;
use std::collections::{HashMap, VecDeque};

/// Records on their way.
const RECORDS: usize = 2_000;
/// Their bytes, since a few may be huge.
const BYTES: usize = 32 * 1024 * 1024;

/// The last offset of ours, partition by partition.
pub(super) type Reached = HashMap<u32, i64>;

/// A record on its way.
struct Sent {
    line: u64,
    bytes: usize,
    delivery: Delivery,
}

/// Appends in a pipeline.
pub(super) struct Feed {
    log: Log,
    partitions: u32,
    on_their_way: VecDeque<Sent>,
    bytes: usize,
    reached: Reached,
}

impl Feed {
    pub(super) fn new(log: Log, partitions: u32) -> Self {
        Self { log, partitions, on_their_way: VecDeque::new(), bytes: 0, reached: Reached::new() }
    }

    /// Sends a record off; waits only while too many are on their way.
    pub(super) async fn append(&mut self, line: u64, record: Record) -> anyhow::Result<()> {
        let bytes = record.value.len();
        while self.on_their_way.len() >= RECORDS || self.bytes > BYTES {
            self.settle_first().await?;
        }
        let delivery = self.log.send(&record, self.partitions).map_err(|error| failed(line, error))?;
        self.bytes += bytes;
        self.on_their_way.push_back(Sent { line, bytes, delivery });
        Ok(())
    }

    /// Waits for all that are on their way, and says how far the log is then.
    pub(super) async fn finish(mut self) -> anyhow::Result<Reached> {
        while !self.on_their_way.is_empty() {
            self.settle_first().await?;
        }
        Ok(self.reached)
    }

    async fn settle_first(&mut self) -> anyhow::Result<()> {
        let Some(Sent { line, bytes, delivery }) = self.on_their_way.pop_front() else { return Ok(()) };
        self.bytes -= bytes;
        let position = self.log.settle(delivery).await.map_err(|error| failed(line, error))?;
        let reached = self.reached.entry(position.partition).or_default();
        *reached = position.offset.max(*reached);
        Ok(())
    }
}

fn failed(line: u64, error: AppendError) -> anyhow::Error {
    let what = match error {
        AppendError::Full | AppendError::Away | AppendError::Refused => "was not taken by the log",
        AppendError::Unknown => "was not confirmed by the log in time",
    };
    anyhow!("line {line} {what}. Import the same lines again: what went in is skipped")
}
