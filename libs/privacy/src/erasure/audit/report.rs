//! The report of an audit. It contains no personal data.

use super::super::{findings::Kind, log_scan::LogScan, report::ReadPartition};
use crate::Undecided;
use events_schema::{TenantId, Timestamp};
use uuid::Uuid;

/// What was searched for all deleted users, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// When the audit started.
    pub started_at: Timestamp,
    /// When the audit ended.
    pub ended_at: Timestamp,
    /// Deleted users.
    pub tombstones: u64,
    /// Living users.
    pub users: u64,
    /// Keys in the key store.
    pub keys: u64,
    /// Keys in an old key store in the read model's database, if there is one.
    #[serde(rename = "formerKeys")]
    pub old_keys: Option<u64>,
    /// Keys of which nothing proves whether they are needed.
    pub undecided: Undecided,
    /// What was read of the log.
    pub log: LogScan,
    /// Generations of the read model.
    pub generations: Vec<i32>,
    /// Keys of Redis that were scanned.
    pub cache_keys: u64,
    /// What was read of the analytics topic.
    pub analytics: Vec<ReadPartition>,
    /// Unreadable records of deleted users that an operator has discarded.
    pub discarded: u64,
    /// The number of findings of each kind.
    pub counts: Vec<Count>,
    /// The first thousand findings.
    pub findings: Vec<AuditFinding>,
}

/// The number of findings of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    /// The kind.
    pub kind: Kind,
    /// The number.
    pub count: u64,
}

/// Something that should not exist, or a key that should.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditFinding {
    /// Its kind.
    pub kind: Kind,
    /// The user's tenant.
    pub tenant_id: TenantId,
    /// The user.
    pub user_id: Uuid,
    /// Where it is.
    pub place: String,
}

impl Audit {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }
}
