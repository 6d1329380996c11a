//! What a proof says, to be read or to be filed. Ids, places, counts and times: nothing personal.

use super::{findings::Finding, log_scan::LogScan};
use events_schema::{TenantId, Timestamp};
use std::fmt;
use uuid::Uuid;

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The user was deleted, and nothing is left.
    Erased,
    /// Nothing was ever heard of the user.
    NeverThere,
    /// The log names no such user, but a key of theirs is kept: another log may hold what it opens.
    KeyKept,
    /// The user is alive.
    Alive,
    /// Events of the user wait for the operator.
    Parked,
    /// The user was deleted, or is half there, and something is left.
    Left,
}

impl Verdict {
    /// Whether nothing personal is kept.
    pub fn is_clean(self) -> bool {
        matches!(self, Self::Erased | Self::NeverThere)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erased => "erased: nothing personal of this user is left in what was looked at",
            Self::NeverThere => "never there: nothing was ever heard of such a user",
            Self::KeyKept => {
                "key kept: this log names no such user, but their key is kept and opens what another log or a backup may hold. \
                 See `rollcall keys status --undecided`"
            }
            Self::Alive => "alive: this user is there and was not deleted",
            Self::Parked => {
                "parked: events of this user wait for the operator, see `rollcall dead-letters list`"
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
    /// The offset there.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "users:{}:{}", self.partition, self.offset)
    }
}

/// What is kept of a deleted user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// The version of the deletion.
    pub version: i64,
    /// When it was made.
    pub deleted_at: Timestamp,
    /// Where it lies in the log.
    #[serde(flatten)]
    pub place: Place,
}

/// The user's records in `users.events`: sealed, plain, unclear, discarded and impersonal ones are all that there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventCounts {
    /// All of them.
    pub events: u64,
    /// Those whose personal part is sealed.
    pub sealed: u64,
    /// Of the sealed ones: those that a key opens which exists, or whose key exists.
    pub opened: u64,
    /// Those whose personal part was never sealed.
    pub plain: u64,
    /// Those of which nobody can tell.
    pub unclear: u64,
    /// Those of which nobody can tell, and that an operator has discarded.
    pub discarded: u64,
    /// Those without a personal part.
    pub impersonal: u64,
}

/// The user's records in `users.credentials`: facts, unclear, discarded and empty ones are all that there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialCounts {
    /// All of them.
    pub records: u64,
    /// Facts, and what this build does not know: pseudonymous by contract, they stay.
    pub facts: u64,
    /// What is no fact, so that it may say anything.
    pub unclear: u64,
    /// What is no fact, and was discarded by an operator.
    pub discarded: u64,
    /// What has no value.
    pub empty: u64,
}

/// What the key store was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeysLook {
    /// Keys that there are, each of which was tried.
    pub keys: u64,
    /// Tries: each key on each sealed event.
    pub tries: u64,
    /// Whether one of the keys is the user's own.
    pub is_there: bool,
}

/// What a former key store holds that was left behind in the read model's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerLook {
    /// Keys that are in it.
    pub keys: u64,
    /// Whether one of them is the user's.
    pub is_there: bool,
}

/// What a generation of the read model holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationLook {
    /// Its number.
    pub generation: i32,
    /// `building`, `live` or `retired`; `None`: nobody knows it any more, its tables are there.
    pub state: Option<String>,
    /// Rows of the user with something personal.
    pub users: i64,
    /// Rows of the user out of which everything personal was taken.
    pub blanked: i64,
    /// Rows of the user's credentials.
    pub credentials: i64,
    /// Dead letters with a record of the user.
    pub dead_letters: i64,
    /// Whether events of the user wait there for the operator.
    pub is_parked: bool,
    /// Whether it has the user's tombstone.
    pub is_tombstone_there: bool,
}

/// What Redis holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheLook {
    /// Keys that were looked at, of whomever.
    pub keys: u64,
    /// Ready response bodies of the user.
    pub bodies: u64,
    /// Marks of the user: a version without a body.
    pub marks: u64,
}

/// What was read of a partition of the analytics topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ReadPartition {
    /// Its number.
    pub partition: i32,
    /// The first offset that was there.
    pub from: i64,
    /// The one after the last.
    pub to: i64,
}

/// What the analytics topic holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsLook {
    /// What was read.
    pub partitions: Vec<ReadPartition>,
    /// Events that were read, of transactions that were broken off too.
    pub events: u64,
    /// Those about the user.
    pub of_user: u64,
    /// Of these: those that say more than ids.
    pub saying_more: u64,
    /// Events with claims of which nobody can tell whose they are, such as searches at level 3.
    pub of_nobody: u64,
}

/// What was looked at for a user, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Whose it is.
    pub user_id: Uuid,
    /// What it comes to.
    pub verdict: Verdict,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When it was done.
    pub ended_at: Timestamp,
    /// The tombstone, if there is one.
    pub tombstone: Option<Tombstone>,
    /// What was read of the log.
    pub log: LogScan,
    /// What was found in `users.events`.
    pub events: EventCounts,
    /// What was found in `users.credentials`.
    pub credentials: CredentialCounts,
    /// Where the records lie that an operator has discarded.
    pub discarded: Vec<String>,
    /// What the key store was asked.
    pub keys: KeysLook,
    /// What a former key store holds, if there is one.
    pub former_keys: Option<FormerLook>,
    /// What each generation holds.
    pub generations: Vec<GenerationLook>,
    /// Steps of the erasure that are still to be done.
    pub pending_steps: Vec<String>,
    /// What Redis holds.
    pub cache: CacheLook,
    /// What the analytics topic holds.
    pub analytics: AnalyticsLook,
    /// What was found: of a living user, what is held.
    pub findings: Vec<Finding>,
}
