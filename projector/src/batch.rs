//! A batch: the records drained at once, and what they change. Every row is written once, however often it changed.

use crate::queue::Queue;
use domain::{
    codec::{open, owner},
    evolve::{
        credential,
        user::{Change, Rejection, State, User},
    },
};
use event_log::record::{Fact, Poison, Record};
use events_schema::{
    EventType, Partition, Reason, ReasonCode, Topic, UserKey, UserRecord,
    credential::{CredentialEvent, Status},
};
use key_store::{KeyRing, Owner};
use read_model::{
    RejectionReason,
    write::{At, CredentialKey, CredentialRow, DeadLetterRow, Effects, RejectionRow, Span, TombstoneRow},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Records in a batch, at most.
const MAX_RECORDS: usize = 2_000;
/// Bytes of keys and values in a batch, about at most.
const MAX_BYTES: usize = 8 << 20;

/// Records of any partitions, each partition's in order.
#[derive(Clone, Default)]
pub struct Batch {
    records: Vec<Record>,
    bytes: usize,
    /// How far it moves each of its partitions.
    pub spans: BTreeMap<Partition, Span>,
}

/// The states that a batch folds on.
#[derive(Default)]
pub struct States {
    /// Users, as far as there is anything about them.
    pub users: HashMap<UserKey, State>,
    /// Those whose facts are set aside.
    pub parked: BTreeMap<UserKey, Queue>,
    /// The keys that there are.
    pub keys: KeyRing,
    /// Credentials, as far as there are any, each with the offset of the last fact about it.
    pub credentials: HashMap<CredentialKey, (credential::State, i64)>,
}

impl Batch {
    /// Takes a record in; `from` is where its partition's first span begins.
    pub fn push(&mut self, record: Record, from: i64) {
        self.bytes += record.raw.size();
        let span = self.spans.entry(record.partition).or_insert(Span { from, next: from, time: None });
        span.next = record.offset + 1;
        span.time = record.time;
        self.records.push(record);
    }

    /// Takes in that a partition has no further record before `next`. Such a batch moves the checkpoint like any other, behind the same fence.
    pub fn reach(&mut self, partition: Partition, from: i64, next: i64) {
        let span = self.spans.entry(partition).or_insert(Span { from, next: from, time: None });
        span.next = span.next.max(next);
    }

    /// Its only record as one that can't be folded; `None` where it has none, or several, or that was tried.
    pub fn poisoned(mut self, reason: ReasonCode) -> Option<Self> {
        let record =
            self.records.pop().filter(|record| self.records.is_empty() && !record.is_poisoned(reason))?;
        self.records.push(record.poisoned(reason));
        Some(self)
    }

    /// Whether it is large enough.
    pub fn is_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS || self.bytes >= MAX_BYTES
    }

    /// Whether it moves nothing.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Where its records lie.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Topic, i64)> {
        self.records.iter().map(|record| (record.partition.0, record.offset))
    }

    /// The users whose state is needed.
    pub fn users(&self) -> BTreeSet<&UserKey> {
        self.records.iter().filter_map(|record| record.fact.owner()).collect()
    }

    /// The users whose keys are needed.
    pub fn owners(&self) -> Vec<Owner> {
        let sealed = |record: &Record| match &record.fact {
            Fact::User(fact) if fact.event.is_sealed() => Some(owner(&fact.key)),
            Fact::User(_) | Fact::Credential(_) | Fact::Unknown | Fact::Discarded | Fact::Poison(_) => None,
        };
        let owners: BTreeSet<Owner> = self.records.iter().filter_map(sealed).collect();
        owners.into_iter().collect()
    }

    /// The credentials whose state is needed.
    pub fn credentials(&self) -> BTreeSet<(&UserKey, Uuid)> {
        let key = |record: &'_ Record| match &record.fact {
            Fact::Credential(fact) => Some(fact.event.id()),
            Fact::User(_) | Fact::Unknown | Fact::Discarded | Fact::Poison(_) => None,
        };
        self.records.iter().filter_map(|record| Some((record.fact.owner()?, key(record)?))).collect()
    }

    /// For each partition the highest version that a user can have after this batch, known before any state is loaded. A fact that
    /// turns out to have no effect costs its user's cached body at most.
    pub fn marks(&self) -> BTreeMap<i32, BTreeMap<&UserKey, u64>> {
        let mut marks: BTreeMap<i32, BTreeMap<&UserKey, u64>> = BTreeMap::new();
        for record in &self.records {
            let Fact::User(fact) = &record.fact else { continue };
            let version = marks.entry(record.partition.1).or_default().entry(&fact.key).or_default();
            *version = fact.sequence.max(*version);
        }
        marks
    }

    /// Folds the records, in their order, on the states.
    pub fn fold(self, states: States) -> Effects {
        let mut fold = Fold::new(states);
        for record in self.records {
            fold.take(record);
        }
        fold.finish(self.spans)
    }
}

/// A batch half folded.
struct Fold {
    users: HashMap<UserKey, (User, At)>,
    parked: BTreeMap<UserKey, Queue>,
    keys: KeyRing,
    /// With the offset of the last fact, and where it lies if it is of this batch.
    credentials: HashMap<CredentialKey, (credential::State, i64, Option<At>)>,
    effects: Effects,
}

impl Fold {
    fn new(states: States) -> Self {
        let nowhere = (0, 0);
        Self {
            users: states.users.into_iter().map(|(key, state)| (key, (User::new(state), nowhere))).collect(),
            parked: states.parked,
            keys: states.keys,
            credentials: states
                .credentials
                .into_iter()
                .map(|(key, (state, last))| (key, (state, last, None)))
                .collect(),
            effects: Effects::default(),
        }
    }

    fn take(&mut self, record: Record) {
        let Record { partition, offset, time, fact, raw } = record;
        let reason = ReasonCode::Unknown.alone();
        let dead = DeadLetterRow {
            partition,
            offset,
            time,
            sequence: None,
            key: None,
            is_at_home: true,
            raw,
            reason,
        };
        match fact {
            Fact::User(fact) => self.user(*fact, dead),
            Fact::Credential(fact) => self.credential(*fact, dead),
            Fact::Unknown => self.effects.unknown += 1,
            Fact::Discarded => self.reject(&dead, RejectionReason::Discarded),
            Fact::Poison(Poison { key, is_at_home, reason }) => {
                self.park(key, reason, DeadLetterRow { is_at_home, ..dead });
            }
        }
    }

    fn user(&mut self, fact: UserRecord, dead: DeadLetterRow) {
        let dead = DeadLetterRow { sequence: Some(fact.sequence), ..dead };
        if self.waits(&fact) {
            return self.park(Some(fact.key), ReasonCode::Queued.alone(), dead);
        }
        let (key, sequence, time) = (fact.key.clone(), fact.sequence, fact.time);
        let (user, last) = self.users.entry(key.clone()).or_default();
        let applied = user.admit(sequence, fact.event.event_type()).and_then(|()| {
            let fact = open(fact, &self.keys).map_err(Rejection::Poison)?;
            user.apply(sequence, time, fact)
        });
        match applied {
            Ok(()) => *last = (dead.partition.1, dead.offset),
            Err(Rejection::Superseded) => self.reject(&dead, RejectionReason::Superseded),
            Err(Rejection::Deleted) => self.late(key, &dead),
            Err(Rejection::Poison(reason)) => self.park(Some(key), reason.alone(), dead),
        }
    }

    /// Whether a fact has to wait behind others of its user. The deletion of a user whose facts wait for nothing but a key that is
    /// missing does not: it is why the key is missing, and ends the wait.
    fn waits(&mut self, fact: &UserRecord) -> bool {
        let Some(queue) = self.parked.get(&fact.key) else { return false };
        let is_deleted = fact.event.event_type() == EventType::UserDeleted;
        let Some(ended) = queue.ended_by(fact.sequence).filter(|_| is_deleted) else { return true };
        self.parked.remove(&fact.key);
        self.effects.keyless.remove(&fact.key);
        self.effects.rejections.retain(|row| !ended.accepted.contains(&row.at));
        self.effects.restored.extend(ended.accepted);
        let (user, _) = self.users.entry(fact.key.clone()).or_default();
        user.state = State::Present(ended.version);
        false
    }

    /// A fact about a user that is gone.
    fn late(&mut self, key: UserKey, dead: &DeadLetterRow) {
        self.reject(dead, RejectionReason::Deleted);
        self.effects.late.push(key);
    }

    fn credential(&mut self, fact: events_schema::CredentialRecord, dead: DeadLetterRow) {
        // Nothing is kept for a user that is gone; `finish` drops what came before the deletion.
        if self.is_gone(&fact.key) {
            return;
        }
        let key = (fact.key, fact.event.id());
        let known = self.credentials.get(&key);
        // Only a dead letter that is tried again can come late. An issue on statuses alone gives the same in either order.
        let is_late = known.is_some_and(|(state, last, _)| {
            dead.offset < *last
                && (state.issued.is_some() || matches!(fact.event, CredentialEvent::StatusChanged(_)))
        });
        if is_late {
            return self.park(Some(key.0), ReasonCode::LateCredential.alone(), dead);
        }
        let last = known.map_or(dead.offset, |(_, last, _)| dead.offset.max(*last));
        if let Some(state) = credential::evolve(known.map(|(state, ..)| state), fact.time, fact.event) {
            self.credentials.insert(key, (state, last, Some((dead.partition.1, last))));
        }
    }

    /// Sets a record aside. Anyone may write credential facts, so one of those never parks its user.
    fn park(&mut self, key: Option<UserKey>, reason: Reason, dead: DeadLetterRow) {
        // Of a user that is gone nothing is kept, poison included.
        let is_kept = !key.as_ref().is_some_and(|key| self.is_gone(key));
        if !is_kept && dead.is_at_home {
            return self.reject(&dead, RejectionReason::Deleted);
        }
        // Where a record does not belong, it is met before or after its user's deletion, as it happens: the same is said of it.
        self.reject(&dead, RejectionReason::Parked);
        if !is_kept {
            return;
        }
        if dead.partition.0 == Topic::Users {
            let at_home = key.as_ref().filter(|_| dead.is_at_home);
            let is_new = at_home.is_none_or(|key| self.queue(key, reason.code, &dead));
            match at_home {
                Some(key) if is_new && reason.code == ReasonCode::KeyMissing => {
                    self.effects.keyless.insert(key.clone(), dead.time);
                }
                _ => self.effects.newly_parked += usize::from(is_new),
            }
        }
        self.effects.dead_letters.push(DeadLetterRow { key, reason, ..dead });
    }

    /// Puts a record into its user's queue; whether it is the first there.
    fn queue(&mut self, key: &UserKey, reason: ReasonCode, dead: &DeadLetterRow) -> bool {
        let version = self.users.get(key).map_or(0, |(user, _)| user.state.version());
        let at = (dead.partition.1, dead.offset);
        let is_new = !self.parked.contains_key(key);
        let is_for_key = reason == ReasonCode::KeyMissing;
        let queue = self.parked.entry(key.clone()).or_insert_with(|| Queue::new(version, is_for_key));
        queue.push(at, dead.sequence);
        is_new
    }

    /// Only facts about users have an outcome that somebody asks for.
    fn reject(&mut self, dead: &DeadLetterRow, reason: RejectionReason) {
        if dead.partition.0 == Topic::Users {
            self.effects.rejections.push(RejectionRow { at: (dead.partition.1, dead.offset), reason });
        }
    }

    fn is_gone(&self, key: &UserKey) -> bool {
        self.users.get(key).is_some_and(|(user, _)| matches!(user.state, State::Deleted(_)))
    }

    fn finish(mut self, spans: BTreeMap<Partition, Span>) -> Effects {
        for (key, (state, _, at)) in std::mem::take(&mut self.credentials) {
            if let Some(at) = at.filter(|_| !self.is_gone(&key.0)) {
                self.effects.credentials.push(credential_row(key, &state, at));
            }
        }
        let mut dead_letters = std::mem::take(&mut self.effects.dead_letters);
        dead_letters.retain(|row| !row.key.as_ref().is_some_and(|key| self.is_gone(key)));
        self.effects.dead_letters = dead_letters;
        self.effects.keep_newest();
        for (key, (user, at)) in self.users {
            add_user(&mut self.effects, key, user, at);
        }
        // One order for every writer, so that two of them never wait for each other's rows in a circle.
        self.effects.users.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.effects.tombstones.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.effects.credentials.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Effects { spans, ..self.effects }
    }
}

fn add_user(effects: &mut Effects, key: UserKey, user: User, at: At) {
    let (State::Present(version) | State::Deleted(version)) = user.state else { return };
    match user.change {
        Some(Change::Write { created, written }) => {
            effects.users.push(crate::body::user_row(key, version, created, written, at));
        }
        Some(Change::Delete { at: deleted_at }) => {
            effects.tombstones.push(TombstoneRow { key, version, deleted_at, at });
        }
        None => {}
    }
}

fn credential_row(key: CredentialKey, state: &credential::State, at: At) -> CredentialRow {
    let status = state.status.map(status_name);
    CredentialRow { key, created_at: state.created_at, status, body: state.body(), at }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Valid => "valid",
        Status::Suspended => "suspended",
        Status::Revoked => "revoked",
    }
}
