//! A batch: decoded records of any partitions, and how far they move each partition.

use domain::codec::owner;
use event_log::record::{Fact, Record};
use events_schema::{Partition, ReasonCode, Topic, UserKey};
use key_store::Owner;
use read_model::write::Span;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The most records in a batch.
const MAX_RECORDS: usize = 2_000;
/// Bytes of keys and values from which on a batch is full.
const MAX_BYTES: usize = 8 << 20;

/// Records of any partitions, each partition's in order.
#[derive(Clone, Default)]
pub struct Batch {
    pub(super) records: Vec<Record>,
    bytes: usize,
    /// How far the batch moves each of its partitions.
    pub spans: BTreeMap<Partition, Span>,
}

impl Batch {
    /// Adds a record. `from` is where the span of its partition begins, if this is its first
    /// record.
    pub fn push(&mut self, record: Record, from: i64) {
        self.bytes += record.raw.size();
        let span = self.spans.entry(record.partition).or_insert(Span { from, next: from, time: None });
        span.next = record.offset + 1;
        span.time = record.time;
        self.records.push(record);
    }

    /// Moves a partition to `next` without a record: only control records and aborted transactions
    /// lie before it.
    pub fn advance(&mut self, partition: Partition, from: i64, next: i64) {
        let span = self.spans.entry(partition).or_insert(Span { from, next: from, time: None });
        span.next = span.next.max(next);
    }

    /// The batch with its only record marked as one that can't be folded. `None` if the batch has
    /// no record, or several, or if the record is marked already.
    pub(crate) fn poisoned(mut self, reason: ReasonCode) -> Option<Self> {
        let record =
            self.records.pop().filter(|record| self.records.is_empty() && !record.is_poisoned(reason))?;
        self.records.push(record.poisoned(reason));
        Some(self)
    }

    /// Whether the batch is large enough to be folded.
    pub(crate) fn is_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS || self.bytes >= MAX_BYTES
    }

    /// Whether the batch moves no partition.
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Topic and offset of each record.
    pub(crate) fn topics_and_offsets(&self) -> impl Iterator<Item = (Topic, i64)> {
        self.records.iter().map(|record| (record.partition.0, record.offset))
    }

    /// The records.
    pub(crate) fn into_records(self) -> impl Iterator<Item = Record> {
        self.records.into_iter()
    }

    /// The users whose state the fold needs.
    pub(super) fn users(&self) -> BTreeSet<&UserKey> {
        self.records.iter().filter_map(|record| record.fact.owner()).collect()
    }

    /// The owners of the data keys that the fold needs.
    pub(crate) fn key_owners(&self) -> Vec<Owner> {
        let sealed = |record: &Record| match &record.fact {
            Fact::User(fact) if fact.event.is_sealed() => Some(owner(&fact.key)),
            Fact::User(_) | Fact::Credential(_) | Fact::Unknown | Fact::Discarded | Fact::Poison(_) => None,
        };
        let owners: BTreeSet<Owner> = self.records.iter().filter_map(sealed).collect();
        owners.into_iter().collect()
    }

    /// The credentials whose state the fold needs.
    pub(super) fn credentials(&self) -> BTreeSet<(&UserKey, Uuid)> {
        let id = |record: &Record| match &record.fact {
            Fact::Credential(fact) => Some(fact.event.id()),
            Fact::User(_) | Fact::Unknown | Fact::Discarded | Fact::Poison(_) => None,
        };
        self.records.iter().filter_map(|record| Some((record.fact.owner()?, id(record)?))).collect()
    }

    /// The highest version that each user can have after the batch, by partition. It is known
    /// before any state is loaded. Too high a version costs only a cached body.
    pub(crate) fn highest_versions(&self) -> BTreeMap<i32, BTreeMap<&UserKey, u64>> {
        let mut versions: BTreeMap<i32, BTreeMap<&UserKey, u64>> = BTreeMap::new();
        for record in &self.records {
            let Fact::User(fact) = &record.fact else { continue };
            let version = versions.entry(record.partition.1).or_default().entry(&fact.key).or_default();
            *version = fact.sequence.max(*version);
        }
        versions
    }
}
