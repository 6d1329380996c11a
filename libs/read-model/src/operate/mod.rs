//! Statements of the verbs: logs and cuts.

pub mod cuts;
pub mod logs;
