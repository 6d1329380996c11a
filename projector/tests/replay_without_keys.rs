//! A log is folded twice: once with the data keys of all users, and once after the keys of deleted
//! users were destroyed, as in every rebuild. However the log is cut into batches, the read model
//! is the same, and nobody is left waiting for a key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod folding;

use domain::codec::owner;
use event_log::record::Record;
use events_schema::{ReasonCode, UserKey};
use folding::{Tables, USERS, key, log};
use key_store::{DataKey, KeyRing};
use projector::pipeline::{Batch, fold as fold_batch};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

fn fold(log: &[Record], cuts: &[usize], keys: &KeyRing) -> Tables {
    let (mut tables, mut rest, mut cuts) = (Tables::default(), log, cuts.iter().cycle());
    while !rest.is_empty() {
        let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
        let mut batch = Batch::default();
        now.iter().for_each(|record| batch.push(record.clone(), record.offset));
        let states = tables.states(keys);
        tables.commit(fold_batch(batch, states));
        rest = later;
    }
    tables
}

proptest! {
    #[test]
    fn erased_users_are_the_same_without_their_keys(
        written in prop::collection::vec((0..USERS, any::<u8>(), 0..3_u64, any::<u8>()), 1..40),
        cuts in prop::collection::vec(1..7_usize, 1..6),
        other_cuts in prop::collection::vec(1..7_usize, 1..6),
    ) {
        let keys: BTreeMap<_, _> = (0..USERS).map(|user| (key(user), DataKey::random().unwrap())).collect();
        let ring = |gone: &BTreeSet<UserKey>| -> KeyRing {
            let kept = keys.iter().filter(|(key, _)| !gone.contains(*key));
            kept.map(|(key, data_key)| (owner(key), Arc::new(data_key.clone()))).collect()
        };
        let log = log(&written, &keys);
        let lived = fold(&log, &cuts, &ring(&BTreeSet::new()));
        let gone: BTreeSet<_> = lived.tombstones.keys().cloned().collect();
        let mut replayed = fold(&log, &other_cuts, &ring(&gone));
        prop_assert!(replayed.letters.is_empty(), "a user waits: {:?}", replayed.letters);
        // An event that was superseded while its user waited for a key has another reason. In both
        // cases it has no effect.
        for (offset, reason) in &mut replayed.rejections {
            if *reason == "parked" {
                *reason = lived.rejections.get(offset).copied().unwrap_or("parked");
            }
        }
        prop_assert_eq!(replayed, lived);
    }

    #[test]
    fn a_user_who_is_not_deleted_waits_and_is_never_shown_empty(
        written in prop::collection::vec((0..1_u128, 1..4_u8, 0..3_u64, any::<u8>()), 1..20),
        cuts in prop::collection::vec(1..7_usize, 1..6),
    ) {
        let keys = BTreeMap::from([(key(0), DataKey::random().unwrap())]);
        let lost = fold(&log(&written, &keys), &cuts, &KeyRing::new());
        prop_assert!(lost.users.is_empty() && lost.tombstones.is_empty());
        let first = lost.letters.values().next().expect("a dead letter");
        prop_assert_eq!(first.2, ReasonCode::KeyMissing);
    }
}
