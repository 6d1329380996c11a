//! The progress and the result of an import.

use service_kit::kafka::OpenTransaction;
use std::fmt;

/// A line that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, counted from 1.
    pub line: u64,
    /// What is wrong, by path. Never contains a value.
    pub reason: String,
}

/// Another producer's open transaction that blocks the reading of imported records.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockingTransaction {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The open transaction.
    #[serde(flatten)]
    pub transaction: OpenTransaction,
}

impl fmt::Display for BlockingTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partition {}: {}", self.topic, self.partition, self.transaction)
    }
}

/// The progress of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines read, not counting blank ones.
    pub read: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Records passed to the log.
    pub appended: u64,
    /// Lines whose content existed already.
    pub already_there: u64,
    /// Bad lines.
    pub bad: u64,
    /// Once everything is in the log: the number of records still to be folded until all imported
    /// ones are visible.
    pub awaited: u64,
    /// Open transactions that block that.
    pub held: Vec<BlockingTransaction>,
}

/// The result of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines read, not counting blank ones.
    pub read: u64,
    /// Records appended to the log.
    pub appended: u64,
    /// Lines whose content existed already.
    pub already_there: u64,
    /// Bad lines.
    pub bad: u64,
    /// Bytes read.
    pub bytes: u64,
}

impl Report {
    pub(super) fn new(progress: &Progress) -> Self {
        let Progress { read, bytes, appended, already_there, bad, .. } = *progress;
        Self { read, appended, already_there, bad, bytes }
    }
}

impl Progress {
    pub(super) fn refuse(&mut self, bad: &mut Vec<BadLine>, line: u64, reason: String) {
        self.bad += 1;
        bad.push(BadLine { line, reason });
    }
}
