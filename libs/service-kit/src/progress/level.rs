//! Whether the read model has everything that the log held when this process began to listen.
//!
//! A database that was restored from a backup shows users that were deleted after the backup, and no row of it says so. So nothing that
//! the read model says of itself is proof. Proof is what the owner of each partition announces while this process listens: that it has
//! just found the partition where it has folded it to, and where the log ends. An announcement is kept nowhere, so no backup holds one.
//!
//! Once every partition has been folded to the end that was announced first, the read model is level, and stays so: owners may come and
//! go. Only positions that go backwards, which nothing but a restore makes them do, begin the wait anew.

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A partition of the live generation as the read model shows it: generation, epoch of its log, topic, partition, first offset that is
/// not folded.
pub(super) type Row = (i32, i32, String, i32, i64);

/// What an owner announces of a partition: topic, partition, first offset that is not folded, end of the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Standing(String, i32, i64, i64);

/// A stretch of a partition's log that has to be folded, and how far that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The first offset.
    pub from: i64,
    /// The first offset behind it.
    pub to: i64,
    /// The first offset that is not folded.
    pub next: i64,
}

/// How far what is missing has been folded. Prints itself as the reason of a health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CatchingUp {
    folded: i64,
    total: i64,
    unknown: usize,
}

impl CatchingUp {
    /// What these tails lack; `None`: nothing. `unknown`: partitions of which it is not known how much they lack.
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

/// Opens once the read model is level.
#[derive(Default)]
pub(super) struct Gate {
    is_level: AtomicBool,
    level: Mutex<Level>,
}

#[derive(Default)]
struct Level {
    generation: i32,
    /// The partitions of the live generation, by topic.
    partitions: BTreeMap<(String, i32), Partition>,
}

#[derive(Default)]
struct Partition {
    /// The first offset that was not folded when that was last seen, or heard.
    seen: i64,
    /// What its owner has announced.
    tail: Option<Tail>,
}

impl Gate {
    /// What is missing; `None`: the read model is level.
    pub(super) fn catching_up(&self) -> Option<CatchingUp> {
        if self.is_level.load(Ordering::Acquire) {
            return None;
        }
        let level = self.level();
        let tails: Vec<&Tail> = level.partitions.values().filter_map(|known| known.tail.as_ref()).collect();
        let unknown = level.partitions.len() - tails.len();
        // Before the first look not even the partitions are known.
        Some(CatchingUp::of(tails, unknown).unwrap_or_default())
    }

    /// Takes in what the read model shows; whether it went backwards, so that nothing that was known of it counts any more. To be called
    /// by one task alone, or an older answer could be taken in after a newer one.
    pub(super) fn look(&self, rows: &[Row]) -> bool {
        let mut level = self.level();
        let went_back = level.went_back(rows);
        if went_back {
            self.is_level.store(false, Ordering::Release);
            *level = Level::default();
        }
        level.look(rows);
        went_back
    }

    /// Takes in up to where a partition of `users` is folded. Whoever hears that can see it from then on, so it can be told when it is not so
    /// any more.
    pub(super) fn moved(&self, generation: i32, partition: i32, next: i64) {
        let mut level = self.level();
        if level.generation == generation
            && let Some(known) = level.partitions.get_mut(&("users".to_owned(), partition))
        {
            known.seen = known.seen.max(next);
        }
    }

    /// Takes in what an owner announces.
    pub(super) fn hear(&self, generation: i32, standings: &[Standing]) {
        let mut level = self.level();
        if level.generation != generation {
            return;
        }
        level.hear(standings);
        if !self.is_level.load(Ordering::Acquire) && level.is_level() {
            self.is_level.store(true, Ordering::Release);
            tracing::info!(generation, "the read model has everything that the log held");
        }
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Level {
    /// Generations count upwards, and a partition of one of them is only ever folded on.
    fn went_back(&self, rows: &[Row]) -> bool {
        rows.iter().any(|(generation, _, topic, partition, next)| {
            let known = self.partitions.get(&(topic.clone(), *partition));
            *generation < self.generation
                || (*generation == self.generation && known.is_some_and(|known| *next < known.seen))
        })
    }

    fn look(&mut self, rows: &[Row]) {
        let Some((generation, ..)) = rows.first() else { return };
        if *generation != self.generation {
            (self.generation, self.partitions) = (*generation, BTreeMap::new());
        }
        for (.., topic, partition, next) in rows {
            self.partitions.entry((topic.clone(), *partition)).or_default().seen = *next;
        }
    }

    fn hear(&mut self, standings: &[Standing]) {
        for Standing(topic, partition, next, end) in standings {
            let Some(known) = self.partitions.get_mut(&(topic.clone(), *partition)) else { continue };
            let tail = known.tail.get_or_insert(Tail { from: *next, to: *end, next: *next });
            tail.next = *next;
            known.seen = known.seen.max(*next);
        }
    }

    fn is_level(&self) -> bool {
        let is_folded = |known: &Partition| known.tail.is_some_and(|tail| tail.next >= tail.to);
        !self.partitions.is_empty() && self.partitions.values().all(is_folded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(generation: i32, next: [i64; 2]) -> Vec<Row> {
        let row = |(partition, next): (i32, i64)| (generation, 1, "users".to_owned(), partition, next);
        (0..).zip(next).map(row).collect()
    }

    fn standing(partition: i32, next: i64, end: i64) -> Standing {
        Standing("users".to_owned(), partition, next, end)
    }

    fn reason(gate: &Gate) -> String {
        gate.catching_up().map(|missing| missing.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_the_read_model_says_of_itself_is_no_proof() {
        let gate = Gate::default();
        assert!(reason(&gate).contains("catching up"), "before the first look, too");
        assert!(!gate.look(&rows(1, [10, 20])));
        assert_eq!(reason(&gate), format!("catching up with the log: 2 {NOT_CONFIRMED}"));
    }

    #[test]
    fn every_partition_must_be_folded_to_the_end_that_was_announced_first() {
        let gate = Gate::default();
        gate.look(&rows(1, [10, 20]));
        gate.hear(1, &[standing(0, 10, 10), standing(1, 20, 25)]);
        assert_eq!(reason(&gate), "catching up with the log: 0 of 5 records are folded");
        gate.hear(1, &[standing(1, 24, 40)]);
        assert_eq!(reason(&gate), "catching up with the log: 4 of 5 records are folded");
        gate.hear(2, &[standing(1, 99, 99)]);
        assert!(gate.catching_up().is_some(), "another generation says nothing about this one");
        gate.hear(1, &[standing(1, 26, 50)]);
        assert_eq!(gate.catching_up(), None, "what came later need not be folded");
    }

    #[test]
    fn owners_and_generations_may_change_once_it_is_level() {
        let gate = Gate::default();
        gate.look(&rows(1, [10, 20]));
        gate.hear(1, &[standing(0, 10, 10), standing(1, 20, 20)]);
        gate.hear(1, &[standing(0, 10, 99)]);
        assert!(!gate.look(&rows(1, [12, 20])));
        assert!(!gate.look(&rows(2, [0, 0])), "another log begins at its beginning");
        assert_eq!(gate.catching_up(), None);
    }

    #[test]
    fn what_was_heard_can_be_seen_from_then_on() {
        let gate = Gate::default();
        gate.look(&rows(1, [10, 20]));
        gate.moved(1, 0, 12);
        gate.moved(2, 1, 99);
        assert!(!gate.look(&rows(1, [12, 20])));
        gate.moved(1, 0, 14);
        gate.hear(1, &[standing(1, 21, 21)]);
        assert!(gate.look(&rows(1, [12, 21])) && gate.look(&rows(1, [12, 20])));
    }

    #[test]
    fn a_position_that_goes_backwards_is_a_restore() {
        for restored in [rows(2, [12, 19]), rows(1, [50, 50])] {
            let gate = Gate::default();
            gate.look(&rows(2, [12, 20]));
            gate.hear(2, &[standing(0, 12, 12), standing(1, 20, 20)]);
            assert_eq!(gate.catching_up(), None);
            assert!(gate.look(&restored));
            assert!(gate.catching_up().is_some(), "what was announced before does not count");
            assert!(!gate.look(&restored), "it went backwards once");
            let generation = restored[0].0;
            gate.hear(generation, &[standing(0, 60, 60), standing(1, 60, 60)]);
            assert_eq!(gate.catching_up(), None);
        }
    }
}
