//! Records that are read but not committed, by partition.

use events_schema::analytics::AnalyticEvent;
use read_model::write::rejected::OffsetRange;
use std::collections::{BTreeMap, HashSet, VecDeque};

/// The size from which on a partition is paused. At level 3, events contain claims and may be
/// large.
const MAX_BYTES: usize = 1 << 20;
/// The number of records from which on a partition is paused.
const MAX_RECORDS: usize = 1_000;

/// A record, and its SUCCESS if it has one when it is accepted.
pub(super) struct Candidate {
    pub(super) offset: i64,
    pub(super) success: Option<AnalyticEvent>,
    /// The rough size in memory.
    pub(super) bytes: usize,
}

#[derive(Default)]
struct Queue {
    candidates: VecDeque<Candidate>,
    bytes: usize,
    /// The number of ripe candidates, from the front.
    ripe: usize,
}

/// The queues of the assigned partitions.
#[derive(Default)]
pub(super) struct Pending(BTreeMap<i32, Queue>);

/// A part of a partition that can be committed.
pub(super) struct Committable {
    pub(super) partition: i32,
    /// The first offset.
    pub(super) from: i64,
    /// The first offset behind it.
    pub(super) next: i64,
}

impl Pending {
    pub(super) fn push(&mut self, partition: i32, candidate: Candidate) {
        let queue = self.0.entry(partition).or_default();
        queue.bytes += candidate.bytes;
        queue.candidates.push_back(candidate);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(|queue| queue.candidates.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        self.0.values().map(|queue| queue.candidates.len()).sum()
    }

    /// The partitions that must be paused.
    pub(super) fn full(&self) -> HashSet<i32> {
        let is_full = |queue: &Queue| queue.bytes >= MAX_BYTES || queue.candidates.len() >= MAX_RECORDS;
        self.0.iter().filter(|(_, queue)| is_full(queue)).map(|(partition, _)| *partition).collect()
    }

    /// Makes all candidates ripe: they may be committed in this round.
    pub(super) fn ripen(&mut self) {
        self.0.values_mut().for_each(|queue| queue.ripe = queue.candidates.len());
    }

    /// The ranges of ripe records whose outcome must be asked: from the first to the last record
    /// with a SUCCESS.
    pub(super) fn ranges(&self) -> Vec<OffsetRange> {
        self.0.iter().filter_map(|(partition, queue)| queue.range(*partition)).collect()
    }

    /// The ripe records that can be committed, with their events: all of a partition if the
    /// outcomes are known (`rejected` has the partition) or no outcome is needed. They stay until
    /// [`Pending::remove`].
    pub(super) fn committable(
        &self,
        rejected: &BTreeMap<i32, HashSet<i64>>,
    ) -> (Vec<Committable>, Vec<&AnalyticEvent>) {
        let (mut parts, mut successes) = (Vec::new(), Vec::new());
        let none = HashSet::new();
        for (partition, queue) in &self.0 {
            let needed = queue.range(*partition).is_some();
            let Some(rejected) = rejected.get(partition).or((!needed).then_some(&none)) else { continue };
            let ripe = || queue.candidates.iter().take(queue.ripe);
            let (Some(first), Some(last)) = (ripe().next(), ripe().next_back()) else { continue };
            parts.push(Committable { partition: *partition, from: first.offset, next: last.offset + 1 });
            let accepted = ripe().filter(|candidate| !rejected.contains(&candidate.offset));
            successes.extend(accepted.filter_map(|candidate| candidate.success.as_ref()));
        }
        (parts, successes)
    }

    /// Removes what was committed.
    pub(super) fn remove(&mut self, parts: &[Committable]) {
        for Committable { partition, next, .. } in parts {
            let Some(queue) = self.0.get_mut(partition) else { continue };
            while queue.candidates.front().is_some_and(|candidate| candidate.offset < *next) {
                queue.bytes -= queue.candidates.pop_front().map_or(0, |candidate| candidate.bytes);
                queue.ripe = queue.ripe.saturating_sub(1);
            }
        }
    }
}

impl Queue {
    fn range(&self, partition: i32) -> Option<OffsetRange> {
        let mut offsets = self
            .candidates
            .iter()
            .take(self.ripe)
            .filter(|candidate| candidate.success.is_some())
            .map(|c| c.offset);
        let first = offsets.next()?;
        Some(OffsetRange { partition, first, last: offsets.next_back().unwrap_or(first) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn candidate(offset: i64, has_success: bool) -> Candidate {
        let success = json!({
            "id": uuid::Uuid::nil(), "type": "USER_UPDATE_SUCCESS", "category": "user", "requestId": offset.to_string(),
            "tenantId": "acme", "timestamp": "2026-01-02T03:04:05.678Z", "version": "1",
        });
        Candidate { offset, success: has_success.then(|| serde_json::from_value(success).unwrap()), bytes: 1 }
    }

    fn pending(partition: i32, candidates: &[(i64, bool)]) -> Pending {
        let mut pending = Pending::default();
        candidates.iter().for_each(|(offset, success)| pending.push(partition, candidate(*offset, *success)));
        pending
    }

    fn commit(pending: &mut Pending, rejected: &[(i32, &[i64])]) -> (Vec<(i32, i64)>, Vec<String>) {
        let rejected = rejected.iter().map(|(p, offsets)| (*p, offsets.iter().copied().collect())).collect();
        let (parts, successes) = pending.committable(&rejected);
        let successes = successes.iter().map(|event| event.request_id.clone()).collect();
        pending.remove(&parts);
        (parts.iter().map(|part| (part.partition, part.next)).collect(), successes)
    }

    #[test]
    fn only_ripe_records_are_committed() {
        let mut pending = pending(3, &[(5, true), (6, true)]);
        assert_eq!(commit(&mut pending, &[(3, &[])]), (vec![], vec![]));
        pending.ripen();
        pending.push(3, candidate(7, true));
        assert_eq!(pending.ranges(), [OffsetRange { partition: 3, first: 5, last: 6 }]);
        assert_eq!(commit(&mut pending, &[(3, &[5])]), (vec![(3, 7)], vec!["6".to_owned()]));
        assert_eq!((pending.len(), pending.ranges()), (1, vec![]));
    }

    #[test]
    fn records_without_success_wait_for_no_outcome() {
        let mut pending = pending(0, &[(1, false), (2, false)]);
        pending.push(1, candidate(9, true));
        pending.ripen();
        assert_eq!(pending.ranges(), [OffsetRange { partition: 1, first: 9, last: 9 }]);
        assert_eq!(commit(&mut pending, &[]), (vec![(0, 3)], vec![]));
        assert_eq!(commit(&mut pending, &[(1, &[])]), (vec![(1, 10)], vec!["9".to_owned()]));
        assert!(pending.is_empty());
    }

    #[test]
    fn a_partition_that_waits_becomes_full() {
        let all: Vec<_> = (0..MAX_RECORDS as i64).map(|offset| (offset, true)).collect();
        assert_eq!(pending(2, &all).full(), HashSet::from([2]));
        assert_eq!(pending(2, &all[1..]).full(), HashSet::new());
    }
}
