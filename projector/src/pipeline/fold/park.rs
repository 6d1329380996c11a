//! Setting records aside. The later events of a parked user wait in the user's queue.

use super::{Fold, ParkedQueue};
use domain::evolve::user::State;
use event_log::record::Poison;
use events_schema::{EventType, Partition, ReasonCode, Timestamp, Topic, UserKey, UserRecord, raw::Raw};
use read_model::{
    RejectionReason,
    write::{DeadLetterRow, PartitionOffset, Remaining},
};

/// A record's place in the log, its time, and its bytes.
pub(super) struct RecordSource {
    pub(super) partition: Partition,
    pub(super) offset: i64,
    pub(super) time: Option<Timestamp>,
    pub(super) raw: Raw,
}

impl RecordSource {
    /// The place in the record's topic.
    pub(super) fn partition_offset(&self) -> PartitionOffset {
        (self.partition.1, self.offset)
    }
}

impl Fold {
    /// Whether an event has to wait behind others of its user. The deletion of a user whose events
    /// wait only for a missing data key does not: it explains why the key is missing, and ends the
    /// wait.
    pub(super) fn has_to_wait(&mut self, fact: &UserRecord) -> bool {
        let Some(queue) = self.parked.get(&fact.key) else { return false };
        let is_deletion = fact.event.event_type() == EventType::UserDeleted;
        let Some(ended) = queue.ended_by(fact.sequence).filter(|_| is_deletion) else { return true };
        self.parked.remove(&fact.key);
        self.effects.keyless.remove(&fact.key);
        self.effects.rejections.retain(|row| !ended.accepted.contains(&row.at));
        self.effects.restored.extend(ended.accepted);
        self.users.user(&fact.key).state = State::Present(ended.version);
        false
    }

    /// Sets a record aside as a dead letter. `sequence` is the version that it would give its user,
    /// if it names one. Anyone may write records of credentials, so those never park their user.
    pub(super) fn park(&mut self, poison: Poison, sequence: Option<u64>, source: RecordSource) {
        let Poison { key, is_at_home, reason } = poison;
        // Nothing is kept of a deleted user, not even poison.
        let is_kept = !key.as_ref().is_some_and(|key| self.is_deleted(key));
        if !is_kept && is_at_home {
            return self.reject(&source, RejectionReason::Deleted);
        }
        // A parked record is also a rejection. One outside of its user's partition may be read
        // before or after the user's deletion, and its rejection is the same in both cases.
        self.reject(&source, RejectionReason::Parked);
        if !is_kept {
            return;
        }
        if source.partition.0 == Topic::Users {
            let at_home = key.as_ref().filter(|_| is_at_home);
            self.queue_or_count(at_home, reason.code, sequence, &source);
        }
        let RecordSource { partition, offset, time, raw } = source;
        self.held += raw.size() + size_of::<DeadLetterRow>();
        let row = DeadLetterRow { partition, offset, time, sequence, key, is_at_home, raw, reason };
        self.effects.dead_letters.push(row);
    }

    /// Drops the bytes of dead letters, for a fold whose dead letters are not stored.
    pub(crate) fn forget_bytes(&mut self) {
        for row in self.effects.dead_letters.iter_mut().rev().take_while(|row| row.raw.size() > 0) {
            row.raw = Raw::default();
        }
    }

    /// Takes the dead letters out of the effects: where they are, and why.
    pub(crate) fn take_letters(&mut self) -> Vec<Remaining> {
        let letters = std::mem::take(&mut self.effects.dead_letters).into_iter();
        letters.map(|row| (row.partition.0, row.offset, row.reason)).collect()
    }

    /// Adds a record to its user's queue, and counts newly parked users. A record without a user
    /// counts as one.
    fn queue_or_count(
        &mut self,
        key: Option<&UserKey>,
        reason: ReasonCode,
        sequence: Option<u64>,
        source: &RecordSource,
    ) {
        let is_new = key.is_none_or(|key| self.push_queued(key, reason, sequence, source));
        match key {
            Some(key) if is_new && reason == ReasonCode::KeyMissing => {
                self.effects.keyless.insert(key.clone(), source.time);
            }
            _ => self.effects.newly_parked += usize::from(is_new),
        }
    }

    /// Adds a record to its user's queue. Returns whether it is the first one there.
    fn push_queued(
        &mut self,
        key: &UserKey,
        reason: ReasonCode,
        sequence: Option<u64>,
        source: &RecordSource,
    ) -> bool {
        let version = self.users.state(key).version();
        let is_new = !self.parked.contains_key(key);
        let is_for_key = reason == ReasonCode::KeyMissing;
        let queue = self.parked.entry(key.clone()).or_insert_with(|| ParkedQueue::new(version, is_for_key));
        queue.push(source.partition_offset(), sequence);
        is_new
    }
}
