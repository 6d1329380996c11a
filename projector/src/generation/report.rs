//! What a rebuild is asked to do, and what it reports.

use super::SetAside;
use event_log::cuts::Cut;

/// The options of a rebuild.
#[derive(Debug, Clone, Copy, Default)]
pub struct RebuildOptions {
    /// Promotes the new generation even if it has set aside more than the live one.
    pub accept_set_aside: bool,
    /// Accepts a log that does not begin at offset 0.
    pub from_cut: bool,
}

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Folding the log.
    Folding,
    /// Building the indexes.
    Indexing,
    /// Making the new generation the live one.
    Promoting,
}

/// The progress of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildProgress {
    /// The new generation.
    pub generation: i32,
    /// What the rebuild is doing.
    pub phase: Phase,
    /// Folded records.
    pub records: u64,
    /// Offsets that the live generation has folded, which is about the number of records.
    pub total: u64,
}

/// The result of a rebuild.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// The new generation.
    pub generation: i32,
    /// Whether it is live now.
    pub promoted: bool,
    /// The generation that was live before and is retired now. `None` if the new one was not
    /// promoted.
    pub retired: Option<i32>,
    /// Folded records.
    pub records: u64,
    /// What the new generation could not fold.
    pub set_aside: SetAside,
    /// What the generation that was live before could not fold.
    pub set_aside_before: SetAside,
    /// Whether the rebuild ended before the log did, because it had to park too many users.
    pub gave_up: bool,
    /// Users of the new generation who are parked because their data key is missing, although no
    /// event says that they were deleted.
    pub keyless: i64,
    /// The partitions that do not begin at offset 0.
    pub cuts: Vec<Cut>,
    /// How long the rebuild took, in seconds.
    pub seconds: f64,
}
