//! What a copy is asked to do, and what it reports.

/// The options of a copy.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// The prefix of the new topics.
    pub to_prefix: String,
    /// The number of partitions of the new topics. `None`: the number that the log was folded with.
    pub partitions: Option<u32>,
    /// The number of partitions that the log was created with. `None`: the number in the read
    /// model, or else the smaller one of the two topics.
    pub made_with: Option<u32>,
    /// Accepts a log that does not begin at offset 0.
    pub from_cut: bool,
}

/// What a copy is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CopyPhase {
    /// Looking for users whose records lie in two partitions.
    Surveying,
    /// Copying.
    Copying,
    /// Comparing the copy with the log.
    Verifying,
}

/// The progress of a copy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyProgress {
    /// The topic that is copied.
    pub topic: String,
    /// What the copy is doing.
    pub phase: CopyPhase,
    /// Records so far.
    pub records: u64,
    /// About how many records there are.
    pub total: u64,
}

/// The result of a copy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyReport {
    /// The number of partitions that the log was created with.
    pub made_with: u32,
    /// Both topics.
    pub topics: Vec<CopiedTopic>,
}

/// A topic that was copied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopiedTopic {
    /// The topic's name.
    pub from: String,
    /// The copy's name.
    pub to: String,
    /// The topic's number of partitions.
    pub from_partitions: u32,
    /// The copy's number of partitions.
    pub to_partitions: u32,
    /// The number of records. The copy has the same.
    pub records: u64,
    /// Users whose records lay in two partitions and were put in one order.
    pub joined_users: u64,
    /// Records without a valid key, or in a wrong partition. They are in a wrong partition of the
    /// copy too.
    pub strays: u64,
}
