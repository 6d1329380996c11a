//! The fold of one user's records, in the order of the log. Only the last state is kept in memory, not
//! the records.

use super::Offsets;
use crate::pipeline::{Discarded, Fold, States};
use event_log::{
    record::{Fact, Record},
    replay::Step,
};
use events_schema::{EventType, Topic, UserKey};
use key_store::KeyRing;
use read_model::{
    operate::repairs::{Beginning, RepairProgress},
    write::{RepairedUser, Span},
};

/// A user while the log is read.
pub(crate) struct UserFold {
    pub(crate) user: UserKey,
    pub(crate) partition: i32,
    pub(super) beginning: Beginning,
    /// The first offset of the partition of `users.events`, which is not 0 if the log was cut.
    pub(super) first_offset: i64,
    pub(crate) discarded: Discarded,
    /// Up to where each topic is read.
    pub(super) reached: Offsets,
    /// Whether the first record of the user creates it. `None`: there is no record yet.
    begins_with_creation: Option<bool>,
    /// The offsets of the user's records in `users.events`.
    offsets: Vec<i64>,
    pub(super) records: u64,
    fold: Fold,
}

impl UserFold {
    pub(super) fn new(
        user: UserKey,
        partition: i32,
        beginning: Beginning,
        first_offset: i64,
        discarded: Discarded,
    ) -> Self {
        let reached = [(Topic::Users, beginning.users), (Topic::Credentials, beginning.credentials)];
        Self {
            user,
            partition,
            beginning,
            first_offset,
            discarded,
            reached: reached.map(|(topic, offset)| ((topic, partition), offset)).into(),
            begins_with_creation: None,
            offsets: Vec::new(),
            records: 0,
            fold: Fold::new(States::default()),
        }
    }

    pub(super) fn set_keys(&mut self, keys: KeyRing) {
        self.fold.set_keys(keys);
    }

    /// Takes what was read of the partition.
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Reached(partition, end) => drop(self.reached.insert(partition, end)),
            Step::Record(record) => {
                self.reached.insert(record.partition, record.offset + 1);
                if self.is_of_user(&record) {
                    self.record(*record);
                }
            }
        }
    }

    /// A record that only names the user, outside of the user's partition or under another key, belongs
    /// to no fold of the user.
    fn is_of_user(&self, record: &Record) -> bool {
        match &record.fact {
            Fact::Poison(poison) => poison.is_at_home && poison.key.as_ref() == Some(&self.user),
            fact => fact.owner() == Some(&self.user),
        }
    }

    fn record(&mut self, record: Record) {
        self.records += 1;
        if record.partition.0 == Topic::Users {
            let is_creation = matches!(&record.fact, Fact::User(fact)
                if fact.sequence == 1 && fact.event.event_type() == EventType::UserCreated);
            self.begins_with_creation.get_or_insert(is_creation);
            self.offsets.push(record.offset);
        }
        self.fold.record(self.discarded.apply(record));
        self.fold.forget_bytes();
    }

    /// Whether the user's events begin before the offset at which reading began. Until the end is
    /// reached, no record says nothing.
    pub(super) fn begins_earlier(&self, is_at_end: bool) -> bool {
        let is_late = self.beginning.users > self.first_offset;
        is_late && !self.begins_with_creation.unwrap_or(!is_at_end)
    }

    /// Whether the beginning of the user's events may be in what was cut off the log.
    pub(super) fn may_be_cut(&self) -> bool {
        self.first_offset > 0 && self.begins_with_creation != Some(true)
    }

    /// Offsets up to `to` that are not read yet.
    pub(crate) fn behind(&self, to: &Offsets) -> u64 {
        let left = to.iter().map(|(partition, end)| end - self.reached.get(partition).unwrap_or(end));
        left.map(|left| u64::try_from(left).unwrap_or_default()).sum()
    }

    pub(super) fn progress(&self, to: &Offsets) -> RepairProgress {
        let Beginning { users, credentials, .. } = self.beginning;
        let total = to.values().sum::<i64>() - users - credentials;
        let total = u64::try_from(total).unwrap_or_default();
        RepairProgress { done: total.saturating_sub(self.behind(to)), total }
    }

    /// The user as the log has it, up to where it is read.
    pub(super) fn finish(mut self) -> RepairedUser {
        let mut set_aside = self.fold.take_letters();
        let spans = self
            .reached
            .iter()
            .map(|(partition, next)| (*partition, Span { from: *next, next: *next, time: None }));
        let effects = self.fold.finish(spans.collect());
        // Nothing is kept of a deleted user.
        if !effects.tombstones.is_empty() {
            set_aside.clear();
        }
        RepairedUser { effects, key: self.user, partition: self.partition, offsets: self.offsets, set_aside }
    }
}
