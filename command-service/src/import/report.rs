//! How far an import is, and what came of it.

use service_kit::kafka::OpenTransaction;
use std::fmt;

/// A line that did not go in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong, by its place; never what stands there.
    pub reason: String,
}

/// Another producer's transaction that keeps what went in from being read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What is open there.
    #[serde(flatten)]
    pub transaction: OpenTransaction,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partition {}: {}", self.topic, self.partition, self.transaction)
    }
}

/// How far an import is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines read, blank ones left out.
    pub read: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Records handed to the log.
    pub appended: u64,
    /// Lines whose facts were there before.
    pub already_there: u64,
    /// Bad lines.
    pub bad: u64,
    /// Once everything is in the log: how many records are still to be folded before all of ours are visible.
    pub awaited: u64,
    /// What holds them back, where something does.
    pub held: Vec<Held>,
}

/// What came of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines read, blank ones left out.
    pub read: u64,
    /// Records that went into the log.
    pub appended: u64,
    /// Lines whose facts were there before.
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
