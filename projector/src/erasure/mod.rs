//! Whether erasures did what they promise: looked for in every place where something personal of a user may be, and told without
//! repeating any of it.

mod analytics;
mod audit;
mod cached;
mod content;
mod dealt_with;
mod findings;
mod former;
mod prove;
mod report;
mod rows;
mod scan;
mod tries;

pub use audit::{Audit, AuditFinding, Count, audit};
pub use findings::{Finding, Kind};
pub use prove::prove;
pub use report::{
    AnalyticsLook, CacheLook, CredentialCounts, EventCounts, FormerLook, GenerationLook, KeysLook,
    LookProgress, Place, Proof, ReadPartition, Step, Tombstone, Verdict,
};
pub use scan::{LogScan, ScannedPartition};

pub(crate) use analytics::{About, read as read_analytics};
pub(crate) use content::{Content, content};
pub(crate) use rows::{connection, folded, tombstone};
pub(crate) use scan::read as read_log;
