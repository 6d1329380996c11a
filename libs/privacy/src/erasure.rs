//! Proofs and audits of erasures: they search every place that may hold personal data of a user, and
//! report what they find without repeating it.

mod analytics_scan;
mod audit;
mod cache_scan;
mod content;
mod discarded;
mod findings;
mod former_keys;
mod key_trials;
mod log_scan;
mod prove;
mod report;
mod rows;

pub use audit::{Audit, AuditFinding, Count, audit};
pub use findings::{Finding, Kind};
pub use log_scan::{LogScan, ScannedPartition};
pub use prove::prove;
pub use report::{
    AnalyticsLook, CacheLook, CredentialCounts, EventCounts, FormerLook, GenerationLook, KeysLook, Place,
    Proof, ReadPartition, Tombstone, Verdict,
};

pub(crate) use analytics_scan::{About, read as read_analytics};
pub(crate) use content::{Content, content};
pub(crate) use log_scan::read as read_log;
pub(crate) use rows::{connection, folded, tombstone};
