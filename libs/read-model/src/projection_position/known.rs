//! What is known of each partition of the live generation.

use crate::{
    WriteOutcome,
    announcement::{Announcement, CommittedBatch},
    read::checkpoints::Checkpoint,
};
use service_kit::position::{LogPosition, Position};
use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    time::Instant,
};

/// The most rejections that are kept per partition. A waiter that wakes late still finds its own.
const KEPT_REJECTIONS: usize = 1_024;

/// The log that the live generation is folded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveLog {
    /// Which log, counted from 1.
    pub epoch: u32,
    /// How many partitions it has.
    pub partitions: u32,
}

impl LiveLog {
    /// A position in this log.
    pub fn position(self, at: Position) -> LogPosition {
        LogPosition { epoch: self.epoch, at }
    }
}

/// What is known of the live generation.
#[derive(Debug, Clone, Default)]
pub(super) struct LivePositions {
    pub(super) generation: i32,
    /// Which log it is folded from.
    pub(super) epoch: u32,
    pub(super) partitions: HashMap<u32, PartitionPosition>,
    /// When the last query began that was answered. `None`: nothing is known yet.
    pub(super) queried_at: Option<Instant>,
}

impl LivePositions {
    pub(super) fn log(&self) -> Option<LiveLog> {
        let partitions = u32::try_from(self.partitions.len()).ok().filter(|count| *count > 0)?;
        Some(LiveLog { epoch: self.epoch, partitions })
    }

    /// Applies an announcement. Returns whether anything changed.
    pub(super) fn apply(&mut self, announcement: &Announcement) -> bool {
        let batch = announcement.batch.as_ref().filter(|_| announcement.generation == self.generation);
        let Some(batch) = batch else { return false };
        // Ignored until the first query: otherwise `log` would take the partitions heard of so far
        // for all.
        let known = u32::try_from(batch.partition).ok().and_then(|p| self.partitions.get_mut(&p));
        let Some(known) = known else { return false };
        known.apply(batch);
        true
    }

    /// Applies the checkpoints that a query returned. `queried_at` is when it began. Returns
    /// whether anything changed. Announcements that arrived meanwhile may be ahead of the answer,
    /// except those of another generation, which are ignored.
    pub(super) fn update(&mut self, checkpoints: &[Checkpoint], queried_at: Instant) -> bool {
        let mut of_users = checkpoints.iter().filter(|checkpoint| checkpoint.is_of_users()).peekable();
        let Some(first) = of_users.peek() else { return false };
        if first.generation != self.generation {
            self.partitions.clear();
        }
        self.generation = first.generation;
        self.epoch = u32::try_from(first.log_epoch).unwrap_or_default();
        self.queried_at = Some(queried_at);
        for checkpoint in of_users {
            let Ok(partition) = u32::try_from(checkpoint.partition) else { continue };
            let known = self.partitions.entry(partition).or_default();
            known.next = known.next.max(checkpoint.next_offset);
        }
        true
    }
}

/// What is known of one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct PartitionPosition {
    /// The first offset that is not visible yet.
    pub(super) next: i64,
    /// The offsets whose outcome is known, without gaps.
    announced: Range<i64>,
    /// The offsets in `announced` that had no effect.
    rejected: VecDeque<(i64, WriteOutcome)>,
}

impl PartitionPosition {
    fn apply(&mut self, batch: &CommittedBatch) {
        self.next = self.next.max(batch.next);
        let Some(rejected) = batch.without_effect() else {
            (self.announced, self.rejected) = (batch.next..batch.next, VecDeque::new());
            return;
        };
        if batch.from != self.announced.end {
            (self.announced.start, self.rejected) = (batch.from, VecDeque::new());
        }
        self.announced.end = batch.next;
        self.rejected.extend(rejected);
        while self.rejected.len() > KEPT_REJECTIONS {
            self.announced.start =
                self.rejected.pop_front().map_or(self.announced.end, |(dropped, _)| dropped + 1);
        }
    }

    /// The outcome of the event at `offset`, if it was announced.
    pub(super) fn outcome(&self, offset: i64) -> Option<WriteOutcome> {
        let rejected = self.rejected.iter().find(|(at, _)| *at == offset);
        let outcome = rejected.map_or(WriteOutcome::Accepted, |(_, outcome)| *outcome);
        self.announced.contains(&offset).then_some(outcome)
    }

    pub(super) fn has_rejected_after(&self, offset: i64) -> bool {
        self.rejected.back().is_some_and(|(last, _)| *last > offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcement::parse;

    fn batch(from: i64, next: i64, rejected: Option<&[i64]>) -> CommittedBatch {
        let rejected = rejected.map(<[i64]>::to_vec);
        CommittedBatch { partition: 0, from, next, rejected, parked: Some(Vec::new()) }
    }

    #[test]
    fn what_was_heard_without_a_gap_needs_no_asking() {
        let mut known = PartitionPosition { next: 10, ..PartitionPosition::default() };
        known.apply(&batch(10, 12, Some(&[11])));
        known.apply(&batch(12, 13, Some(&[])));
        assert_eq!(known.outcome(9), None);
        assert_eq!(known.outcome(10), Some(WriteOutcome::Accepted));
        assert_eq!(known.outcome(11), Some(WriteOutcome::Rejected));
        assert_eq!(known.outcome(12), Some(WriteOutcome::Accepted));
        assert_eq!(known.outcome(13), None);
    }

    #[test]
    fn what_is_parked_is_told_from_what_is_void() {
        let mut known = PartitionPosition::default();
        known.apply(&CommittedBatch { parked: Some(vec![4]), ..batch(0, 6, Some(&[3, 4])) });
        let outcomes = [3, 4, 5].map(|offset| known.outcome(offset));
        assert_eq!(
            outcomes,
            [Some(WriteOutcome::Rejected), Some(WriteOutcome::Parked), Some(WriteOutcome::Accepted)]
        );
        known.apply(&CommittedBatch { parked: None, ..batch(6, 8, Some(&[7])) });
        assert_eq!((known.next, known.outcome(7)), (8, None), "an older projector does not say which it is");
    }

    #[test]
    fn a_gap_or_a_missing_list_must_be_asked() {
        let mut known = PartitionPosition::default();
        known.apply(&batch(0, 5, Some(&[])));
        known.apply(&batch(7, 9, Some(&[8])));
        assert_eq!((known.outcome(4), known.outcome(8)), (None, Some(WriteOutcome::Rejected)));
        known.apply(&batch(9, 20, None));
        assert_eq!((known.next, known.outcome(8), known.outcome(19)), (20, None, None));
    }

    #[test]
    fn an_announcement_that_comes_late_takes_nothing_back() {
        let mut known = PartitionPosition { next: 9, ..PartitionPosition::default() };
        known.apply(&batch(5, 7, Some(&[6])));
        assert_eq!((known.next, known.outcome(6), known.outcome(8)), (9, Some(WriteOutcome::Rejected), None));
    }

    #[test]
    fn forgets_the_oldest_rejections_and_what_they_proved() {
        let mut known = PartitionPosition::default();
        let all: Vec<i64> = (0..=1_024).collect();
        known.apply(&batch(0, 1_025, Some(&all)));
        assert_eq!((known.outcome(0), known.outcome(1)), (None, Some(WriteOutcome::Rejected)));
    }

    fn checkpoint(generation: i32, log_epoch: i32, partition: i32, next_offset: i64) -> Checkpoint {
        Checkpoint {
            generation,
            promotion: generation.into(),
            log_epoch,
            topic: "users".to_owned(),
            partition,
            next_offset,
        }
    }

    #[test]
    fn another_generation_is_known_from_its_beginning() {
        let (mut live, now) = (LivePositions::default(), Instant::now());
        live.update(&[checkpoint(1, 1, 0, 50), checkpoint(1, 1, 1, 7)], now);
        assert_eq!(live.log(), Some(LiveLog { epoch: 1, partitions: 2 }));
        let other = parse(r#"{"g":2,"p":0,"from":2,"next":60,"rejected":[]}"#).unwrap();
        assert!(!live.apply(&other), "nothing is learned from it");
        assert_eq!(live.partitions[&0].next, 50);
        live.update(&[checkpoint(2, 2, 0, 3)], now);
        assert_eq!((live.log(), live.partitions[&0].next), (Some(LiveLog { epoch: 2, partitions: 1 }), 3));
        assert!(live.apply(&parse(r#"{"g":2,"p":0,"from":3,"next":4}"#).unwrap()));
        live.update(&[checkpoint(2, 2, 0, 3)], now);
        assert_eq!(live.partitions[&0].next, 4, "an answer that comes late takes nothing back");
    }
}
