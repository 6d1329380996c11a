//! Two projectors take turns on one partition, and an operator repairs parked users. Whenever a
//! commit takes place, each remembered user must be what the tables say. Then each rule is removed,
//! and a few steps show the wrong state that the rule prevents.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod folding;

use domain::codec::owner;
use event_log::record::{Fact, Record};
use events_schema::{Topic, UserKey};
use folding::{Tables, key, record};
use key_store::{DataKey, KeyRing};
use projector::pipeline::{Batch, RememberedUsers, States, fold};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// Users of one partition.
const USERS: u128 = 2;
const DELETION: u8 = 0;
const UPDATE: u8 = 1;

/// The rules that can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// A takeover forgets everything.
    Takeover,
    /// A commit checks that the partition has the same owner and is where its batch begins.
    Fence,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A writer appends an event: the user, its kind, and how far its sequence is off.
    Append(u128, u8, i64),
    /// A projector folds that many records.
    Fold(usize, usize),
    TakeOver(usize),
    /// An operator discards the first dead letter of a user. The owner folds the user's others again.
    Repair(usize),
}

use Step::{Append, Fold, Repair, TakeOver};

#[derive(Default)]
struct Projector {
    epoch: u64,
    next: usize,
    remembered: RememberedUsers,
}

struct World {
    without: Without,
    keys: BTreeMap<UserKey, DataKey>,
    log: Vec<Record>,
    /// The sequence that the next event of each user should have.
    sequences: BTreeMap<u128, u64>,
    tables: Tables,
    epoch: u64,
    next: usize,
    projectors: [Projector; 2],
    /// Whether a batch was committed that was folded on a wrong state.
    is_wrong: bool,
}

impl World {
    fn run(without: Without, steps: &[Step]) -> Self {
        let mut world = Self {
            without,
            keys: (0..USERS).map(|user| (key(user), DataKey::random().unwrap())).collect(),
            log: Vec::new(),
            sequences: BTreeMap::new(),
            tables: Tables::default(),
            epoch: 0,
            next: 0,
            projectors: <[Projector; 2]>::default(),
            is_wrong: false,
        };
        world.take_over(0);
        steps.iter().for_each(|step| world.step(*step));
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Append(user, kind, off) => self.append(user, kind, off),
            Fold(who, records) => self.fold(who, records),
            TakeOver(who) => self.take_over(who),
            Repair(who) => self.repair(who),
        }
    }

    fn append(&mut self, user: u128, kind: u8, off: i64) {
        let expected = *self.sequences.entry(user).or_insert(1);
        let sequence = expected.saturating_add_signed(off).max(1);
        let (key, offset) = (key(user), i64::try_from(self.log.len()).unwrap());
        self.log.push(record(offset, &key, sequence, kind, 0, &self.keys[&key]));
        self.sequences.insert(user, expected + u64::from(sequence == expected));
    }

    fn take_over(&mut self, who: usize) {
        self.epoch += 1;
        let projector = &mut self.projectors[who];
        (projector.epoch, projector.next) = (self.epoch, self.next);
        if self.without != Without::Takeover {
            projector.remembered.clear();
        }
    }

    fn fold(&mut self, who: usize, records: usize) {
        let from = self.projectors[who].next;
        let to = self.log.len().min(from + records);
        let (batch, loaded) = (batch(&self.log[from..to]), self.states());
        let remembered = self.projectors[who].remembered.states(&batch);
        let is_right = remembered
            .iter()
            .all(|(key, state)| loaded.users.get(key) == Some(state) && !loaded.parked.contains_key(key));
        if (self.projectors[who].epoch, from) == (self.epoch, self.next) {
            self.is_wrong |= !is_right;
            let effects = fold(batch, loaded);
            self.projectors[who].remembered.committed(&effects);
            self.tables.commit(effects);
            (self.next, self.projectors[who].next) = (to, to);
        } else if self.without == Without::Fence {
            self.is_wrong |= !is_right;
        }
    }

    fn repair(&mut self, who: usize) {
        let Some((key, ..)) = self.tables.letters.values().next().cloned() else { return };
        if self.projectors[who].epoch != self.epoch {
            return;
        }
        let queue: Vec<i64> =
            self.tables.letters.iter().filter(|(_, letter)| letter.0 == key).map(|(at, _)| *at).collect();
        let rest = queue[1..].iter().map(|at| self.log[usize::try_from(*at).unwrap()].clone());
        let batch = batch(&rest.collect::<Vec<_>>());
        let states = States { parked: BTreeMap::new(), ..self.states() };
        self.tables.letters.retain(|_, letter| letter.0 != key);
        // The projector forgets everything here. Even without that nothing may be wrong, because
        // parked users are not remembered.
        self.tables.commit(fold(batch, states));
    }

    fn states(&self) -> States {
        let key = |(user, key): (&UserKey, &DataKey)| (owner(user), Arc::new(key.clone()));
        self.tables.states(&self.keys.iter().map(key).collect::<KeyRing>())
    }
}

fn batch(records: &[Record]) -> Batch {
    let mut batch = Batch::default();
    records.iter().for_each(|record| batch.push(record.clone(), record.offset));
    batch
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..2_usize;
    prop_oneof![
        8 => (0..USERS, 0..12_u8, prop_oneof![6 => Just(0), 1 => -1..=1_i64])
            .prop_map(|(user, kind, off)| Append(user, kind.min(UPDATE), off)),
        6 => (who.clone(), 1..4_usize).prop_map(|(who, records)| Fold(who, records)),
        1 => who.clone().prop_map(TakeOver),
        2 => who.prop_map(Repair),
    ]
}

proptest! {
    #[test]
    fn what_is_remembered_is_what_would_be_loaded(steps in prop::collection::vec(step(), 1..60)) {
        prop_assert!(!World::run(Without::Nothing, &steps).is_wrong);
    }
}

#[test]
fn users_are_remembered_until_they_are_parked_or_deleted() {
    let known = |steps: &[Step]| {
        let world = World::run(Without::Nothing, steps);
        world.projectors[0].remembered.states(&batch(&world.log)).len()
    };
    let created = [Append(0, UPDATE, 0), Append(1, UPDATE, 0), Fold(0, 2)];
    assert_eq!(known(&created), 2);
    assert_eq!(known(&[&created[..], &[Append(0, UPDATE, 1), Fold(0, 1)]].concat()), 1, "parked");
    assert_eq!(known(&[&created[..], &[Append(0, DELETION, 0), Fold(0, 1)]].concat()), 1, "deleted");
    assert_eq!(known(&[&created[..], &[TakeOver(0)]].concat()), 0);
}

#[test]
fn each_rule_prevents_a_wrong_state() {
    let create = [Append(0, UPDATE, 0), Fold(0, 1)];
    let update = |who| [Append(0, UPDATE, 0), Fold(who, 1)];
    let other_takes_over = [&create[..], &[TakeOver(1)], &update(1)].concat();
    let back_again = [&other_takes_over[..], &[TakeOver(0)], &update(0)].concat();
    let still_folding = [&other_takes_over[..], &update(0)].concat();
    for (without, steps) in [(Without::Takeover, &back_again), (Without::Fence, &still_folding)] {
        assert!(World::run(without, steps).is_wrong, "{without:?}");
        assert!(!World::run(Without::Nothing, steps).is_wrong, "{without:?}");
    }
}

#[test]
fn a_batch_of_credentials_alone_remembers_nobody() {
    let world = World::run(Without::Nothing, &[Append(0, UPDATE, 0), Fold(0, 1)]);
    let remembered = &world.projectors[0].remembered;
    let mut record = world.log[0].clone();
    assert_eq!(remembered.states(&batch(std::slice::from_ref(&record))).len(), 1);
    record.partition = (Topic::Credentials, 0);
    assert!(matches!(record.fact, Fact::User(_)), "it still names the user");
    assert!(
        remembered.states(&batch(&[record])).is_empty(),
        "the fence would not check the user's partition"
    );
}
