//! The report of a proof. It consists of ids, places, counts and times, and contains no personal data.

use super::{findings::Finding, log_scan::LogScan};
use events_schema::{TenantId, Timestamp, millis};
use read_model::{generation::GenerationState, operate::user_traces::TombstoneRow};
use std::fmt;
use uuid::Uuid;

/// The verdict of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The user was deleted, and nothing is left.
    Erased,
    /// No such user was ever recorded.
    NeverThere,
    /// The log names no such user, but the user's key is kept. It may open events of another log.
    KeyKept,
    /// The user lives.
    Alive,
    /// Events of the user wait for an operator.
    Parked,
    /// The user was deleted, or is incomplete, and something is left.
    Left,
}

impl Verdict {
    /// Whether no personal data is kept.
    pub fn is_clean(self) -> bool {
        matches!(self, Self::Erased | Self::NeverThere)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erased => "erased: no personal data of this user is left in any place that was searched",
            Self::NeverThere => "never there: no such user was ever recorded",
            Self::KeyKept => {
                "key kept: this log names no such user, but the user's key is kept and may open events of another log or a backup. \
                 See `rollcall keys status --undecided`"
            }
            Self::Alive => "alive: this user exists and was not deleted",
            Self::Parked => {
                "parked: events of this user wait for an operator, see `rollcall dead-letters list`"
            }
            Self::Left => "not erased: something of this user is left",
        })
    }
}

/// A place in `users.events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset in that partition.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "users:{}:{}", self.partition, self.offset)
    }
}

/// What remains of a deleted user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// The version of the deletion.
    pub version: i64,
    /// When the user was deleted.
    pub deleted_at: Timestamp,
    /// The place of the deletion in the log.
    #[serde(flatten)]
    pub place: Place,
}

impl From<TombstoneRow> for Tombstone {
    fn from(row: TombstoneRow) -> Self {
        let TombstoneRow { version, deleted_at, partition, offset } = row;
        Self { version, deleted_at: millis(deleted_at), place: Place { partition, offset } }
    }
}

/// The user's records in `users.events`. Each record is one of sealed, plain, unclear, discarded and
/// impersonal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventCounts {
    /// All records.
    pub events: u64,
    /// Records whose personal part is sealed.
    pub sealed: u64,
    /// Sealed records that an existing key can decrypt, or whose key exists.
    pub opened: u64,
    /// Records whose personal part was never sealed.
    pub plain: u64,
    /// Records that can't be read.
    pub unclear: u64,
    /// Records that can't be read and that an operator has discarded.
    pub discarded: u64,
    /// Records without a personal part.
    pub impersonal: u64,
}

/// The user's records in `users.credentials`. Each record is one of facts, unclear, discarded and empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialCounts {
    /// All records.
    pub records: u64,
    /// Facts, and events of unknown types. They are pseudonymous by contract, and stay.
    pub facts: u64,
    /// Records that are no facts, so that they may contain anything.
    pub unclear: u64,
    /// Records that are no facts and that an operator has discarded.
    pub discarded: u64,
    /// Records without a value.
    pub empty: u64,
}

/// The trials of all keys in the key store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyTrials {
    /// Keys in the key store. Each was tried.
    pub keys: u64,
    /// Trials: each key on each sealed event.
    pub tries: u64,
    /// Whether one of the keys is the user's own.
    pub is_there: bool,
}

/// What an old key store in the read model's database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OldKeyStoreScan {
    /// Keys in it.
    pub keys: u64,
    /// Whether one of them is the user's own.
    pub is_there: bool,
}

/// What a generation of the read model holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationTraces {
    /// Its number.
    pub generation: i32,
    /// Its state. `None` if the generation is not registered any more, but its tables exist.
    pub state: Option<GenerationState>,
    /// Rows of the user with personal data.
    pub users: i64,
    /// Rows of the user from which all personal data was removed.
    pub blanked: i64,
    /// Postings, by which search finds the user.
    pub postings: i64,
    /// Rows of the user's credentials.
    pub credentials: i64,
    /// Dead letters with a record of the user.
    pub dead_letters: i64,
    /// Whether the user is parked.
    pub is_parked: bool,
    /// Whether it has the user's tombstone.
    #[serde(rename = "isTombstoneThere")]
    pub has_tombstone: bool,
}

/// What a personal table of a projection beside the users holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionTraces {
    /// The table: `projection_<name>_<generation>.<table>`.
    pub table: String,
    /// The generation's state. `None` if the generation is not registered any more, but its tables
    /// exist.
    pub state: Option<GenerationState>,
    /// Rows of the user.
    pub rows: i64,
}

/// What Redis holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheScan {
    /// Redis keys that were scanned, of anybody.
    pub keys: u64,
    /// Bodies of the user.
    pub bodies: u64,
    /// Invalidations of the user: a version without a body.
    #[serde(rename = "marks")]
    pub invalidations: u64,
}

/// What was read of a partition of the analytics topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ReadPartition {
    /// Its number.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last one.
    pub to: i64,
}

/// What the analytics topic holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsScan {
    /// The ranges that were read.
    pub partitions: Vec<ReadPartition>,
    /// Events that were read, including those of aborted transactions.
    pub events: u64,
    /// Events about the user.
    pub of_user: u64,
    /// Events about the user with more than ids.
    #[serde(rename = "sayingMore")]
    pub personal: u64,
    /// Events with claims that name no user, such as searches at level 3.
    pub of_nobody: u64,
}

/// What was searched for a user, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The user's tenant.
    pub tenant_id: TenantId,
    /// The user.
    pub user_id: Uuid,
    /// The verdict.
    pub verdict: Verdict,
    /// When the proof started.
    pub started_at: Timestamp,
    /// When the proof ended.
    pub ended_at: Timestamp,
    /// The tombstone, if there is one.
    pub tombstone: Option<Tombstone>,
    /// What was read of the log.
    pub log: LogScan,
    /// What was found in `users.events`.
    pub events: EventCounts,
    /// What was found in `users.credentials`.
    pub credentials: CredentialCounts,
    /// The places of the records that an operator has discarded.
    pub discarded: Vec<String>,
    /// The trials of all keys in the key store.
    pub keys: KeyTrials,
    /// What an old key store holds, if there is one.
    #[serde(rename = "formerKeys")]
    pub old_key_store: Option<OldKeyStoreScan>,
    /// What each generation holds.
    pub generations: Vec<GenerationTraces>,
    /// What the personal tables of projections beside the users hold.
    pub projections: Vec<ProjectionTraces>,
    /// Steps of the erasure that are not done yet.
    pub pending_steps: Vec<String>,
    /// What Redis holds.
    pub cache: CacheScan,
    /// What the analytics topic holds.
    pub analytics: AnalyticsScan,
    /// What was found. For a living user this is what is held.
    pub findings: Vec<Finding>,
}
