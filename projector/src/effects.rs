//! What a batch changes: the rows that are written, once each, and how far its partitions move.

use domain::evolve::{credential, user::Creation};
use event_log::raw::Raw;
use events_schema::{Partition, Reason, Timestamp, UserKey};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The reason of a rejection that an operator may take back.
pub const PARKED: &str = "parked";

/// A credential's place in the read model.
pub type CredentialKey = (UserKey, Uuid);

/// How far a batch moves a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first offset of the batch: what the checkpoint must say.
    pub from: i64,
    /// The first offset after it.
    pub next: i64,
    /// Kafka's time of the last record.
    pub time: Option<Timestamp>,
}

/// Where the last fact about a row lies.
pub type At = (i32, i64);

/// A user's row.
pub struct UserRow {
    /// Whose.
    pub key: UserKey,
    /// The version.
    pub version: u64,
    /// Set where the row is new.
    pub created: Option<Creation>,
    /// Claims as JSON.
    pub claims: String,
    /// The link's provider.
    pub provider_id: Option<Uuid>,
    /// The link's URL.
    pub provider_url: Option<String>,
    /// The link's subject.
    pub subject_id: Option<String>,
    /// The ready response body.
    pub body: String,
    /// The key under which the last fact is sealed.
    pub key_id: Option<Uuid>,
    /// The last fact.
    pub at: At,
}

/// A tombstone's row.
pub struct TombstoneRow {
    /// Whose.
    pub key: UserKey,
    /// The version of the deletion.
    pub version: u64,
    /// When it was made.
    pub deleted_at: Timestamp,
    /// The deletion.
    pub at: At,
}

/// A credential's row.
pub struct CredentialRow {
    /// Whose, and which.
    pub key: CredentialKey,
    /// The state.
    pub state: credential::State,
    /// The last fact.
    pub at: At,
}

/// A fact of `users.events` without effect.
pub struct RejectionRow {
    /// The fact.
    pub at: At,
    /// `superseded`, `deleted`, `discarded` or `parked`.
    pub reason: &'static str,
}

/// A record set aside.
pub struct DeadLetterRow {
    /// The record's place.
    pub partition: Partition,
    /// The record's place there.
    pub offset: i64,
    /// Kafka's time of it.
    pub time: Option<Timestamp>,
    /// The version that it would give its user, where it says one.
    pub sequence: Option<u64>,
    /// Whose it is, where that is known.
    pub key: Option<UserKey>,
    /// Whether it lies where its owner's facts do, and waits or is waited for.
    pub is_at_home: bool,
    /// The record.
    pub raw: Raw,
    /// Why.
    pub reason: Reason,
}

/// Everything that a batch changes.
#[derive(Default)]
pub struct Effects {
    /// How far each partition moves.
    pub spans: BTreeMap<Partition, Span>,
    /// Users that are there.
    pub users: Vec<UserRow>,
    /// Users that went.
    pub tombstones: Vec<TombstoneRow>,
    /// Credentials.
    pub credentials: Vec<CredentialRow>,
    /// Facts without effect.
    pub rejections: Vec<RejectionRow>,
    /// Records set aside.
    pub dead_letters: Vec<DeadLetterRow>,
    /// Users that are gone and for whom something came late: a writer who did not know may have made them another key.
    pub late: Vec<UserKey>,
    /// Facts that waited for a key, and whose user was deleted meanwhile: they had their effect, as did those after them.
    pub restored: Vec<At>,
    /// Users that were not parked before and wait for their key, with Kafka's time of the first fact that does.
    pub keyless: BTreeMap<UserKey, Option<Timestamp>>,
    /// Users that were not parked before, for another reason; a record of `users.events` that is nobody's counts as one.
    pub newly_parked: usize,
    /// Dead letters of `users.credentials` that newer ones have displaced.
    pub displaced: usize,
    /// Records of types that this build does not know.
    pub unknown: usize,
}

impl Effects {
    /// The users of whom something personal may be in it.
    pub fn touched(&self) -> BTreeSet<&UserKey> {
        let users = self.users.iter().map(|row| &row.key);
        let credentials = self.credentials.iter().map(|row| &row.key.0);
        users.chain(credentials).chain(self.dead_letters.iter().filter_map(|row| row.key.as_ref())).collect()
    }

    /// Takes out what is personal of users that are erased elsewhere already. Their versions stay.
    pub fn forget(&mut self, gone: &BTreeSet<UserKey>) {
        for row in self.users.iter_mut().filter(|row| gone.contains(&row.key)) {
            "{}".clone_into(&mut row.claims);
            (row.provider_id, row.provider_url, row.subject_id) = (None, None, None);
            row.body.clear();
            if let Some(created) = &mut row.created {
                created.digest = [0; 32];
            }
        }
        self.credentials.retain(|row| !gone.contains(&row.key.0));
        let is_gone = |row: &DeadLetterRow| row.key.as_ref().is_some_and(|key| gone.contains(key));
        for row in self.dead_letters.iter_mut().filter(|row| is_gone(row)) {
            row.raw = Raw::default();
        }
    }

    /// The owners of records that lie where another projector's deletion may not be seen.
    pub fn strays(&self) -> BTreeSet<&UserKey> {
        self.dead_letters.iter().filter(|row| !row.is_at_home).filter_map(|row| row.key.as_ref()).collect()
    }

    /// Leaves out the stray records of users that are gone.
    pub fn leave_out(&mut self, gone: &BTreeSet<UserKey>) {
        let is_gone = |row: &DeadLetterRow| row.key.as_ref().is_some_and(|key| gone.contains(key));
        self.dead_letters.retain(|row| row.is_at_home || !is_gone(row));
    }

    /// The users that are erased.
    pub fn erased(&self) -> impl Iterator<Item = &UserKey> {
        self.tombstones.iter().map(|row| &row.key)
    }

    /// The offsets of one partition of `users.events` that had no effect.
    pub fn rejected(&self, partition: i32) -> impl Iterator<Item = i64> {
        self.rejections.iter().filter(move |row| row.at.0 == partition).map(|row| row.at.1)
    }

    /// Those of them that wait for an operator.
    pub fn parked(&self, partition: i32) -> impl Iterator<Item = i64> {
        let parked = self.rejections.iter().filter(|row| row.reason == PARKED);
        parked.filter(move |row| row.at.0 == partition).map(|row| row.at.1)
    }
}
