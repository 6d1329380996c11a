//! The progress of a proof, an audit or an export.

/// The place that is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// The log.
    Log,
    /// Every key of the key store.
    Keys,
    /// The generations of the read model.
    ReadModel,
    /// Redis.
    Cache,
    /// The analytics topic.
    Analytics,
}

/// The progress of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanProgress {
    /// The step.
    pub step: Step,
    /// Records, keys or generations that were read.
    pub done: u64,
    /// Their approximate number in all.
    pub total: u64,
}
