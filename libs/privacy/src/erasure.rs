//! Proofs and audits of erasures. They search every place that may hold personal data of a user, and
//! report what they find without repeating it.

mod analytics_scan;
mod audit;
mod cache_scan;
mod content;
mod findings;
mod key_trials;
mod log_scan;
mod old_key_store;
mod prove;
mod report;

pub use audit::{Audit, AuditFinding, Count, audit};
pub use findings::{Finding, Kind, MAX_PLACES};
pub use log_scan::{LogScan, ScannedPartition};
pub use prove::prove;
pub use report::{
    AnalyticsScan, CacheScan, CredentialCounts, EventCounts, GenerationTraces, KeyTrials, OldKeyStoreScan,
    Place, ProjectionTraces, Proof, ReadPartition, Tombstone, Verdict,
};

pub(crate) use analytics_scan::{AboutUser, scan as scan_analytics};
pub(crate) use content::{Content, content};
pub(crate) use log_scan::scan as scan_log;
