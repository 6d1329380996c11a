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

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookProgress {
    /// The step.
    pub step: Step,
    /// Records, keys or generations that were read.
    pub done: u64,
    /// The approximate number of them.
    pub total: u64,
}
