//! The changes of a batch: rows, each written once, and how far the batch moves its partitions.

use crate::RejectionReason;
use domain::terms::LinkParts;
use events_schema::{Partition, Reason, Timestamp, Topic, UserKey, personal::Claims, raw::Raw};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Dead letters of a partition of `users.credentials` that are kept: the newest ones, because
/// anyone may write to that topic.
pub const MAX_CREDENTIAL_LETTERS: usize = 1_000;

/// A user's credential.
pub type CredentialKey = (UserKey, Uuid);

/// Partition and offset of a record: of `users.credentials` in rows about credentials, else of
/// `users.events`.
pub type PartitionOffset = (i32, i64);

/// How far a batch moves a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first offset of the batch, which the checkpoint must name.
    pub from: i64,
    /// The first offset after the batch.
    pub next: i64,
    /// Kafka's time of the last record.
    pub time: Option<Timestamp>,
}

/// A row of `users`.
pub struct UserRow {
    /// The user.
    pub key: UserKey,
    /// The version.
    pub version: u64,
    /// When the user was created, if the row is new.
    pub created_at: Option<Timestamp>,
    /// The digest of what the user was created with, if the row is new.
    pub creation_digest: Option<[u8; 32]>,
    /// The claims.
    pub claims: Claims,
    /// The authentication provider's id.
    pub provider_id: Option<Uuid>,
    /// The authentication provider's URL.
    pub provider_url: Option<String>,
    /// The user's id with the authentication provider.
    pub subject_id: Option<String>,
    /// The response body.
    pub body: String,
    /// The data key of the last event.
    pub key_id: Option<Uuid>,
    /// The last event.
    pub at: PartitionOffset,
}

impl UserRow {
    pub(super) fn link(&self) -> LinkParts<'_> {
        let (url, subject_id) = (self.provider_url.as_deref(), self.subject_id.as_deref());
        LinkParts { provider_id: self.provider_id, url, subject_id }
    }
}

/// A row of `tombstones`.
pub struct TombstoneRow {
    /// The user.
    pub key: UserKey,
    /// The version of the deletion.
    pub version: u64,
    /// When the user was deleted.
    pub deleted_at: Timestamp,
    /// The deletion.
    pub at: PartitionOffset,
}

/// A row of `credentials`.
pub struct CredentialRow {
    /// The credential.
    pub key: CredentialKey,
    /// Its place in the order of pages.
    pub created_at: Timestamp,
    /// The last status.
    pub status: Option<&'static str>,
    /// The item of the list, once the credential is issued.
    pub body: Option<String>,
    /// The last event.
    pub at: PartitionOffset,
}

/// A row of `rejections`.
pub struct RejectionRow {
    /// The event.
    pub at: PartitionOffset,
    /// The reason.
    pub reason: RejectionReason,
}

/// A row of `dead_letters`.
pub struct DeadLetterRow {
    /// The record's partition.
    pub partition: Partition,
    /// The record's offset.
    pub offset: i64,
    /// Kafka's time of the record.
    pub time: Option<Timestamp>,
    /// The version that the record would give its user, if it names one.
    pub sequence: Option<u64>,
    /// The user that the record names.
    pub key: Option<UserKey>,
    /// Whether the record lies in its user's partition, so that it waits in the user's queue.
    pub is_at_home: bool,
    /// The record's bytes.
    pub raw: Raw,
    /// Why it can't be folded.
    pub reason: Reason,
}

/// All changes of a batch.
#[derive(Default)]
pub struct Effects {
    /// How far each partition moves.
    pub spans: BTreeMap<Partition, Span>,
    /// Users that were created or updated.
    pub users: Vec<UserRow>,
    /// Users that were deleted.
    pub tombstones: Vec<TombstoneRow>,
    /// Credentials that changed.
    pub credentials: Vec<CredentialRow>,
    /// Events of `users.events` without effect.
    pub rejections: Vec<RejectionRow>,
    /// Records that can't be folded.
    pub dead_letters: Vec<DeadLetterRow>,
    /// Deleted users about whom an event came late. Its writer may have made a new data key.
    pub late: Vec<UserKey>,
    /// Events of users that are now deleted, which waited for the data key that the deletion had
    /// destroyed. They had their effect, so their rejections are deleted.
    pub restored: Vec<PartitionOffset>,
    /// Newly parked users whose data key is missing, with Kafka's time of the first such event.
    pub keyless: BTreeMap<UserKey, Option<Timestamp>>,
    /// Users newly parked for another reason. A record of `users.events` without a user counts as
    /// one.
    pub newly_parked: usize,
    /// Dead letters of `users.credentials` that newer ones of the same batch displaced.
    pub displaced: usize,
    /// Records of types that this build does not know.
    pub unknown: usize,
}

impl Effects {
    /// The users whose personal data the batch may contain.
    pub fn touched(&self) -> BTreeSet<&UserKey> {
        let users = self.users.iter().map(|row| &row.key);
        let credentials = self.credentials.iter().map(|row| &row.key.0);
        users.chain(credentials).chain(self.dead_letters.iter().filter_map(|row| row.key.as_ref())).collect()
    }

    /// Removes the personal data of users that are already erased elsewhere. Their versions stay.
    pub fn forget(&mut self, gone: &BTreeSet<UserKey>) {
        for row in self.users.iter_mut().filter(|row| gone.contains(&row.key)) {
            row.claims.clear();
            (row.provider_id, row.provider_url, row.subject_id) = (None, None, None);
            row.body.clear();
            if let Some(digest) = &mut row.creation_digest {
                *digest = [0; 32];
            }
        }
        self.credentials.retain(|row| !gone.contains(&row.key.0));
        let is_gone = |row: &DeadLetterRow| row.key.as_ref().is_some_and(|key| gone.contains(key));
        for row in self.dead_letters.iter_mut().filter(|row| is_gone(row)) {
            row.raw = Raw::default();
        }
    }

    /// The users of records that lie outside of their user's partition. Another projector may own
    /// that partition, so its deletions have to be looked up.
    pub fn strays(&self) -> BTreeSet<&UserKey> {
        self.dead_letters.iter().filter(|row| !row.is_at_home).filter_map(|row| row.key.as_ref()).collect()
    }

    /// Removes the stray records of deleted users.
    pub fn leave_out(&mut self, gone: &BTreeSet<UserKey>) {
        let is_gone = |row: &DeadLetterRow| row.key.as_ref().is_some_and(|key| gone.contains(key));
        self.dead_letters.retain(|row| row.is_at_home || !is_gone(row));
    }

    /// The users that the batch deletes.
    pub fn erased(&self) -> impl Iterator<Item = &UserKey> {
        self.tombstones.iter().map(|row| &row.key)
    }

    /// The offsets of a partition of `users.events` whose events have no effect.
    pub fn rejected(&self, partition: i32) -> impl Iterator<Item = i64> {
        self.rejections.iter().filter(move |row| row.at.0 == partition).map(|row| row.at.1)
    }

    /// The offsets of a partition of `users.events` whose events are parked.
    pub fn parked(&self, partition: i32) -> impl Iterator<Item = i64> {
        let parked = self.rejections.iter().filter(|row| row.reason == RejectionReason::Parked);
        parked.filter(move |row| row.at.0 == partition).map(|row| row.at.1)
    }

    /// Drops all but the newest dead letters of each partition of `users.credentials`.
    pub fn keep_newest(&mut self) {
        let before = self.dead_letters.len();
        let mut kept: BTreeMap<Partition, usize> = BTreeMap::new();
        self.dead_letters.reverse();
        self.dead_letters.retain(|row| {
            let kept = kept.entry(row.partition).or_default();
            *kept += 1;
            row.partition.0 == Topic::Users || *kept <= MAX_CREDENTIAL_LETTERS
        });
        self.dead_letters.reverse();
        self.displaced = before - self.dead_letters.len();
    }
}

/// A version as PostgreSQL stores it. `decode_user` refuses those that don't fit into 63 bits.
pub(super) fn stored_version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
