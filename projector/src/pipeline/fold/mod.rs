//! Step 3, fold: applies the records of a batch to the loaded states. Pure. A row is written once,
//! however often the batch changes it.

mod park;
pub(super) mod parked_queue;
mod rows;
mod users;

use self::{park::RecordSource, parked_queue::ParkedQueue, users::Users};
use super::{Batch, States};
use domain::{
    codec::open,
    evolve::{
        credential,
        user::{Rejection, State},
    },
};
use event_log::record::{Fact, Poison, Record};
use events_schema::{
    CredentialRecord, Partition, ReasonCode, Topic, UserKey, UserRecord, credential::CredentialEvent,
};
use key_store::KeyRing;
use read_model::{
    RejectionReason,
    write::{CredentialKey, Effects, PartitionOffset, RejectionRow, Span, UserRow},
};
use std::collections::{BTreeMap, HashMap};

/// Folds the records of a batch, in their order, on the states.
pub fn fold(batch: Batch, states: States) -> Effects {
    let mut fold = Fold::new(states);
    for record in batch.records {
        fold.record(record);
    }
    fold.finish(batch.spans)
}

/// A credential, the offset of the last record about it, and that record's place if it is in the
/// batch.
type FoldedCredential = (credential::State, i64, Option<PartitionOffset>);

/// The states while records are folded.
pub struct Fold {
    users: Users,
    parked: BTreeMap<UserKey, ParkedQueue>,
    keys: KeyRing,
    credentials: HashMap<CredentialKey, FoldedCredential>,
    effects: Effects,
    /// About how much memory everything but the users takes.
    held: usize,
}

impl Fold {
    /// A fold that begins with these states.
    pub fn new(states: States) -> Self {
        let States { users, parked, keys, credentials } = states;
        Self {
            users: Users::new(users),
            parked,
            keys,
            credentials: credentials
                .into_iter()
                .map(|(key, (state, last))| (key, (state, last, None)))
                .collect(),
            effects: Effects::default(),
            held: 0,
        }
    }

    /// Replaces the data keys, for the records that come next.
    pub fn set_keys(&mut self, keys: KeyRing) {
        self.keys = keys;
    }

    /// About how much memory the fold takes.
    pub fn held(&self) -> usize {
        self.users.held() + self.held
    }

    /// Frees the memory that the users' data takes beyond its text.
    pub fn pack(&mut self) {
        self.users.pack();
    }

    /// How many users had to be parked.
    pub(crate) fn newly_parked(&self) -> usize {
        self.effects.newly_parked
    }

    /// Folds a record.
    pub fn record(&mut self, record: Record) {
        let Record { partition, offset, time, fact, raw } = record;
        let source = RecordSource { partition, offset, time, raw };
        match fact {
            Fact::User(fact) => self.user(*fact, source),
            Fact::Credential(fact) => self.credential(*fact, source),
            Fact::Unknown => self.effects.unknown += 1,
            Fact::Discarded => self.reject(&source, RejectionReason::Discarded),
            Fact::Poison(poison) => self.park(poison, None, source),
        }
    }

    fn user(&mut self, fact: UserRecord, source: RecordSource) {
        let (key, sequence, time) = (fact.key.clone(), fact.sequence, fact.time);
        if self.has_to_wait(&fact) {
            return self.park(poison(key, ReasonCode::Queued), Some(sequence), source);
        }
        let user = self.users.user(&key);
        let applied = user.admit(sequence, fact.event.event_type()).and_then(|()| {
            let fact = open(fact, &self.keys).map_err(Rejection::Poison)?;
            user.apply(sequence, time, fact)
        });
        match applied {
            Ok(()) => self.users.applied(&key, source.partition_offset(), source.raw.size()),
            Err(Rejection::Superseded) => self.reject(&source, RejectionReason::Superseded),
            Err(Rejection::Deleted) => {
                self.reject(&source, RejectionReason::Deleted);
                self.effects.late.push(key);
            }
            Err(Rejection::Poison(reason)) => self.park(poison(key, reason), Some(sequence), source),
        }
    }

    fn credential(&mut self, fact: CredentialRecord, source: RecordSource) {
        // Nothing is kept of a deleted user. `finish` drops what came before the deletion.
        if self.is_deleted(&fact.key) {
            return;
        }
        let key = (fact.key, fact.event.id());
        let known = self.credentials.get(&key);
        // Only a dead letter that is reprocessed can be late. Issuing a credential of which only
        // statuses are known gives the same result in either order.
        let is_late = known.is_some_and(|(state, last, _)| {
            source.offset < *last
                && (state.issued.is_some() || matches!(fact.event, CredentialEvent::StatusChanged(_)))
        });
        if is_late {
            return self.park(poison(key.0, ReasonCode::LateCredential), None, source);
        }
        let last = known.map_or(source.offset, |(_, last, _)| source.offset.max(*last));
        if let Some(state) = credential::evolve(known.map(|(state, ..)| state), fact.time, fact.event) {
            self.held += users::memory_of(source.raw.size());
            self.credentials.insert(key, (state, last, Some((source.partition.1, last))));
        }
    }

    /// Records that an event has no effect. Records of `users.credentials` are skipped: no writer
    /// waits for them.
    fn reject(&mut self, source: &RecordSource, reason: RejectionReason) {
        if source.partition.0 == Topic::Users {
            self.held += size_of::<RejectionRow>();
            self.effects.rejections.push(RejectionRow { at: source.partition_offset(), reason });
        }
    }

    fn is_deleted(&self, key: &UserKey) -> bool {
        matches!(self.users.state(key), State::Deleted(_))
    }

    /// Makes the rows like [`Self::finish`], but those of the users that exist one after another,
    /// in the order of their keys.
    pub fn finish_one_by_one(
        mut self,
        spans: BTreeMap<Partition, Span>,
    ) -> (Effects, impl Iterator<Item = serde_json::Result<UserRow>> + use<>) {
        let users = self.users.take_rows();
        (self.finish(spans), users)
    }

    /// Makes the rows. Drops everything about users that were deleted on the way.
    pub fn finish(mut self, spans: BTreeMap<Partition, Span>) -> Effects {
        for (key, (state, _, at)) in std::mem::take(&mut self.credentials) {
            if let Some(at) = at.filter(|_| !self.is_deleted(&key.0)) {
                self.effects.credentials.push(rows::credential(key, &state, at));
            }
        }
        let mut dead_letters = std::mem::take(&mut self.effects.dead_letters);
        dead_letters.retain(|row| !row.key.as_ref().is_some_and(|key| self.is_deleted(key)));
        self.effects.dead_letters = dead_letters;
        self.effects.keep_newest();
        self.users.push_rows(&mut self.effects);
        rows::sort(&mut self.effects);
        Effects { spans, ..self.effects }
    }
}

/// An event in its user's own partition that can't be folded for this reason.
fn poison(key: UserKey, reason: ReasonCode) -> Poison {
    Poison { key: Some(key), is_at_home: true, reason: reason.alone() }
}
