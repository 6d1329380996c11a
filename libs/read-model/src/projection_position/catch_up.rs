//! Whether the read model has caught up with the log as it was when this process began to listen.
//!
//! A database that was restored from a backup shows users that were deleted after the backup, and
//! none of its rows says so. Nothing that the read model says about itself is therefore proof. What
//! counts is what the owner of each partition announces while this process listens: how far the
//! partition is folded, and where the log ends. An announcement is stored nowhere, so no backup
//! contains one.
//!
//! Once every partition is folded up to the end that was announced first, the gate opens and stays
//! open: owners may come and go. Only a position that goes backwards, which nothing but a restore
//! causes, closes it again.

use crate::{announcement::ConfirmedPartition, read::checkpoints::Checkpoint};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A part of a partition's log that has to be folded, and how far that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The first offset.
    pub from: i64,
    /// The first offset after it.
    pub to: i64,
    /// The first offset that is not folded.
    pub next: i64,
}

/// How much of what was missing is folded. `Display` prints the reason for a failed health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CatchingUp {
    folded: i64,
    total: i64,
    unknown: usize,
}

impl CatchingUp {
    /// The sum over these tails. `None`: nothing is missing. `unknown` is the number of partitions
    /// whose owner has not announced anything yet.
    pub fn of<'t>(tails: impl IntoIterator<Item = &'t Tail>, unknown: usize) -> Option<Self> {
        let mut all = Self { unknown, ..Self::default() };
        for Tail { from, to, next } in tails {
            all.total += (to - from).max(0);
            all.folded += (next.min(to) - from).max(0);
        }
        (all.unknown > 0 || all.folded < all.total).then_some(all)
    }
}

impl fmt::Display for CatchingUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folded, total, unknown } = self;
        f.write_str("catching up with the log: ")?;
        match (total, unknown) {
            (0, 0) => f.write_str("the read model has not answered yet"),
            (0, _) => write!(f, "{unknown} {NOT_CONFIRMED}"),
            (_, 0) => write!(f, "{folded} of {total} records are folded"),
            _ => write!(f, "{folded} of {total} records are folded, and {unknown} {NOT_CONFIRMED}"),
        }
    }
}

const NOT_CONFIRMED: &str =
    "partitions are not confirmed yet (a projector does that, unless it is paused or has no Kafka)";

/// Opens once the read model has caught up.
#[derive(Default)]
pub(super) struct Gate {
    is_open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    generation: i32,
    /// The promotion that made it live.
    promotion: i64,
    /// The partitions of the live generation, by topic.
    partitions: BTreeMap<(String, i32), Partition>,
}

#[derive(Default)]
struct Partition {
    /// The first offset that was not folded, as last observed or announced.
    seen: i64,
    /// What its owner has confirmed.
    tail: Option<Tail>,
}

impl Gate {
    /// What is missing. `None`: the read model has caught up.
    pub(super) fn catching_up(&self) -> Option<CatchingUp> {
        if self.is_open.load(Ordering::Acquire) {
            return None;
        }
        let state = self.state();
        let tails: Vec<&Tail> = state.partitions.values().filter_map(|known| known.tail.as_ref()).collect();
        let unknown = state.partitions.len() - tails.len();
        // Before the first look not even the partitions are known.
        Some(CatchingUp::of(tails, unknown).unwrap_or_default())
    }

    /// Applies checkpoints. Returns whether a position went backwards; then everything that was
    /// known is discarded. Only one task may call this, or an older answer could be taken in after
    /// a newer one.
    pub(super) fn observe(&self, checkpoints: &[Checkpoint]) -> bool {
        let mut state = self.state();
        let went_back = state.went_back(checkpoints);
        if went_back {
            self.is_open.store(false, Ordering::Release);
            *state = State::default();
        }
        state.observe(checkpoints);
        went_back
    }

    /// Records how far a partition of `users` is folded. From then on a lower checkpoint is a step
    /// back.
    pub(super) fn advance(&self, generation: i32, partition: i32, next: i64) {
        let mut state = self.state();
        if state.generation == generation
            && let Some(known) = state.partitions.get_mut(&("users".to_owned(), partition))
        {
            known.seen = known.seen.max(next);
        }
    }

    /// Records what owners confirm.
    pub(super) fn confirm(&self, generation: i32, confirmed: &[ConfirmedPartition]) {
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        state.confirm(confirmed);
        if !self.is_open.load(Ordering::Acquire) && state.is_caught_up() {
            self.is_open.store(true, Ordering::Release);
            tracing::info!(generation, "the read model has caught up with the log");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Promotions count upwards, and within one a partition only moves forward.
    fn went_back(&self, checkpoints: &[Checkpoint]) -> bool {
        checkpoints.iter().any(|checkpoint| {
            let known = self.partitions.get(&(checkpoint.topic.clone(), checkpoint.partition));
            let is_same = checkpoint.promotion == self.promotion;
            checkpoint.promotion < self.promotion
                || (is_same && self.generation != 0 && checkpoint.generation != self.generation)
                || (is_same && known.is_some_and(|known| checkpoint.next_offset < known.seen))
        })
    }

    fn observe(&mut self, checkpoints: &[Checkpoint]) {
        let Some(first) = checkpoints.first() else { return };
        if first.promotion != self.promotion {
            self.partitions = BTreeMap::new();
        }
        (self.generation, self.promotion) = (first.generation, first.promotion);
        for Checkpoint { topic, partition, next_offset, .. } in checkpoints {
            self.partitions.entry((topic.clone(), *partition)).or_default().seen = *next_offset;
        }
    }

    fn confirm(&mut self, confirmed: &[ConfirmedPartition]) {
        for ConfirmedPartition { topic, partition, next, end } in confirmed {
            let Some(known) = self.partitions.get_mut(&(topic.clone(), *partition)) else { continue };
            let tail = known.tail.get_or_insert(Tail { from: *next, to: *end, next: *next });
            tail.next = *next;
            known.seen = known.seen.max(*next);
        }
    }

    fn is_caught_up(&self) -> bool {
        let is_folded = |known: &Partition| known.tail.is_some_and(|tail| tail.next >= tail.to);
        !self.partitions.is_empty() && self.partitions.values().all(is_folded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checkpoints of a generation that was promoted once.
    fn checkpoints(generation: i32, next: [i64; 2]) -> Vec<Checkpoint> {
        promoted(i64::from(generation), generation, next)
    }

    fn promoted(promotion: i64, generation: i32, next: [i64; 2]) -> Vec<Checkpoint> {
        let checkpoint = |(partition, next_offset)| Checkpoint {
            generation,
            promotion,
            log_epoch: 1,
            topic: "users".to_owned(),
            partition,
            next_offset,
        };
        (0..).zip(next).map(checkpoint).collect()
    }

    fn confirmed(partition: i32, next: i64, end: i64) -> ConfirmedPartition {
        ConfirmedPartition { topic: "users".to_owned(), partition, next, end }
    }

    fn reason(gate: &Gate) -> String {
        gate.catching_up().map(|missing| missing.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_the_read_model_says_of_itself_is_no_proof() {
        let gate = Gate::default();
        assert!(reason(&gate).contains("catching up"), "before the first look, too");
        assert!(!gate.observe(&checkpoints(1, [10, 20])));
        assert_eq!(reason(&gate), format!("catching up with the log: 2 {NOT_CONFIRMED}"));
    }

    #[test]
    fn every_partition_must_be_folded_to_the_end_that_was_announced_first() {
        let gate = Gate::default();
        gate.observe(&checkpoints(1, [10, 20]));
        gate.confirm(1, &[confirmed(0, 10, 10), confirmed(1, 20, 25)]);
        assert_eq!(reason(&gate), "catching up with the log: 0 of 5 records are folded");
        gate.confirm(1, &[confirmed(1, 24, 40)]);
        assert_eq!(reason(&gate), "catching up with the log: 4 of 5 records are folded");
        gate.confirm(2, &[confirmed(1, 99, 99)]);
        assert!(gate.catching_up().is_some(), "another generation says nothing about this one");
        gate.confirm(1, &[confirmed(1, 26, 50)]);
        assert_eq!(gate.catching_up(), None, "what came later need not be folded");
    }

    #[test]
    fn owners_and_generations_may_change_once_it_is_level() {
        let gate = Gate::default();
        gate.observe(&checkpoints(1, [10, 20]));
        gate.confirm(1, &[confirmed(0, 10, 10), confirmed(1, 20, 20)]);
        gate.confirm(1, &[confirmed(0, 10, 99)]);
        assert!(!gate.observe(&checkpoints(1, [12, 20])));
        assert!(!gate.observe(&checkpoints(2, [0, 0])), "another log begins at its beginning");
        assert_eq!(gate.catching_up(), None);
        assert!(!gate.observe(&promoted(3, 1, [12, 20])), "a rollback is a promotion");
        assert_eq!(gate.catching_up(), None);
        assert!(gate.observe(&promoted(3, 2, [99, 99])), "another generation without a promotion");
    }

    #[test]
    fn what_was_heard_can_be_seen_from_then_on() {
        let gate = Gate::default();
        gate.observe(&checkpoints(1, [10, 20]));
        gate.advance(1, 0, 12);
        gate.advance(2, 1, 99);
        assert!(!gate.observe(&checkpoints(1, [12, 20])));
        gate.advance(1, 0, 14);
        gate.confirm(1, &[confirmed(1, 21, 21)]);
        assert!(gate.observe(&checkpoints(1, [12, 21])) && gate.observe(&checkpoints(1, [12, 20])));
    }

    #[test]
    fn a_position_that_goes_backwards_is_a_restore() {
        for restored in [checkpoints(2, [12, 19]), checkpoints(1, [50, 50])] {
            let gate = Gate::default();
            gate.observe(&checkpoints(2, [12, 20]));
            gate.confirm(2, &[confirmed(0, 12, 12), confirmed(1, 20, 20)]);
            assert_eq!(gate.catching_up(), None);
            assert!(gate.observe(&restored));
            assert!(gate.catching_up().is_some(), "what was announced before does not count");
            assert!(!gate.observe(&restored), "it went backwards once");
            let generation = restored[0].generation;
            gate.confirm(generation, &[confirmed(0, 60, 60), confirmed(1, 60, 60)]);
            assert_eq!(gate.catching_up(), None);
        }
    }
}
