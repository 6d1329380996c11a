//! What the verbs on generations are asked to do, and what they report.

use super::{SetAside, verify::VerifyReport};
use event_log::cuts::Cut;
use read_model::locks::Verb;

/// The options of a rebuild.
#[derive(Debug, Clone, Copy, Default)]
pub struct RebuildOptions {
    /// Verifies the new generation and makes it the live one.
    pub promote: bool,
    /// Promotes the new generation without a comparison.
    pub unverified: bool,
    /// Promotes the new generation even if it has set aside more than the live one.
    pub accept_set_aside: bool,
    /// Accepts a log that does not begin at offset 0.
    pub from_cut: bool,
    /// Continues an interrupted rebuild.
    pub resume: bool,
}

/// Which generation to promote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This one, or the newest that is built and was never live.
    Built(Option<i32>),
    /// The one that was live before.
    Former,
}

impl Which {
    /// The verb that promotes it.
    pub(crate) const fn verb(self) -> Verb {
        match self {
            Self::Built(_) => Verb::Promote,
            Self::Former => Verb::Rollback,
        }
    }
}

/// The options of a promotion.
#[derive(Debug, Clone, Copy)]
pub struct PromoteOptions {
    /// Which generation.
    pub which: Which,
    /// Promotes it even if it was never found equal to the live one.
    pub unverified: bool,
    /// Promotes it even if it has set aside more than the live one.
    pub accept_set_aside: bool,
}

/// What a verb is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Folding the log.
    Folding,
    /// Building the indexes.
    Indexing,
    /// Comparing the generation with the live one, in blocks of tables.
    Verifying,
    /// Making the generation the live one.
    Promoting,
}

/// The progress of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The generation.
    pub generation: i32,
    /// What the verb is doing.
    pub phase: Phase,
    /// Folded offsets: of a rebuild all of them, and otherwise those that had to be caught up with.
    /// Or compared blocks.
    pub done: u64,
    /// All of them.
    pub total: u64,
}

/// The result of a rebuild.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildReport {
    /// The new generation.
    pub generation: i32,
    /// Whether it is complete. It then follows the live one.
    pub built: bool,
    /// The comparison with the live generation, if there was one.
    pub verified: Option<VerifyReport>,
    /// Whether it is live now.
    pub promoted: bool,
    /// The generation that was live before and is retired now. `None` if the new one was not
    /// promoted.
    pub retired: Option<i32>,
    /// Folded records.
    pub records: u64,
    /// What the new generation could not fold.
    pub set_aside: SetAside,
    /// What the live generation could not fold.
    pub set_aside_before: SetAside,
    /// Whether the rebuild ended before the log did, because it had to park too many users.
    pub gave_up: bool,
    /// Users of the new generation who are parked because their data key is missing, although no
    /// event says that they were deleted.
    pub keyless: i64,
    /// The partitions that do not begin at offset 0.
    pub cuts: Vec<Cut>,
    /// The retired generations that the promotion dropped, because only the last one is kept.
    pub dropped: Vec<i32>,
    /// Whether the new generation can be compared with the live one: the same fold has made both,
    /// from the same log.
    pub comparable: bool,
    /// Other generations that were built and never promoted. They follow the live one too, which
    /// costs as much again for each write.
    pub also_built: Vec<i32>,
    /// The same, but of another fold or log, so they do not follow.
    pub outdated: Vec<i32>,
    /// If it was promoted and is of another log than the generation before.
    pub another_log: Option<LogChange>,
    /// How long the rebuild took, in seconds.
    pub seconds: f64,
}

/// The live generation is of another log than the one before, so users may be missing or new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogChange {
    /// The number of users now.
    pub users: i64,
    /// The number of users in the generation before.
    pub users_before: i64,
}

/// The result of a promotion.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromoteReport {
    /// The generation.
    pub generation: i32,
    /// Whether it is live now.
    pub promoted: bool,
    /// The generation that was live before. `None` if nothing changed.
    pub retired: Option<i32>,
    /// Whether that one follows. One of another fold or log does not.
    pub retired_follows: bool,
    /// The retired generations that were dropped, because only the last one is kept.
    pub dropped: Vec<i32>,
    /// What the generation has set aside.
    pub set_aside: SetAside,
    /// What the generation that was live before has set aside.
    pub set_aside_before: SetAside,
    /// If it is of another log than the generation before.
    pub another_log: Option<LogChange>,
    /// How long it took, in seconds.
    pub seconds: f64,
}
