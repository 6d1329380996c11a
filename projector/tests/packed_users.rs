//! A fold that packs its users between any records makes the same rows, and takes as much memory,
//! as one that packs them at the end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod folding;

use domain::codec::owner;
use event_log::record::Record;
use folding::{Tables, USERS, key, log};
use key_store::{DataKey, KeyRing};
use projector::pipeline::{Fold, States};
use proptest::prelude::*;
use read_model::write::{Effects, UserRow};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Folds a log, and packs before the records with these offsets.
fn fold(log: &[Record], keys: &KeyRing, packed_before: &BTreeSet<i64>) -> Fold {
    let mut fold = Fold::new(States::default());
    fold.set_keys(keys.clone());
    for record in log {
        if packed_before.contains(&record.offset) {
            fold.pack();
        }
        fold.record(record.clone());
    }
    fold
}

fn rows(fold: Fold) -> Effects {
    let (effects, users) = fold.finish_one_by_one(BTreeMap::new());
    Effects { users: users.map(Result::unwrap).collect(), ..effects }
}

/// All columns.
fn columns(row: &UserRow) -> impl PartialEq + std::fmt::Debug + use<> {
    let created = (row.created_at.map(|at| at.to_string()), row.creation_digest);
    let link = (row.provider_id, row.provider_url.clone(), row.subject_id.clone());
    (row.key.clone(), row.version, created, row.claims.clone(), link, row.body.clone(), row.key_id, row.at)
}

fn all_columns(effects: &Effects) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    effects.users.iter().map(columns).collect()
}

proptest! {
    #[test]
    fn packing_changes_nothing(
        written in prop::collection::vec((0..USERS, any::<u8>(), 0..3_u64, any::<u8>()), 1..40),
        packed_before in prop::collection::btree_set(0..40_i64, 0..10),
        lost in prop::option::of(0..USERS),
    ) {
        let keys: BTreeMap<_, _> = (0..USERS).map(|user| (key(user), DataKey::random().unwrap())).collect();
        let ring: KeyRing = keys
            .iter()
            .filter(|(user, _)| lost.map(key).as_ref() != Some(*user))
            .map(|(key, data_key)| (owner(key), Arc::new(data_key.clone())))
            .collect();
        let log = log(&written, &keys);
        let (mut packed, mut open) = (fold(&log, &ring, &packed_before), fold(&log, &ring, &BTreeSet::new()));
        let never = fold(&log, &ring, &BTreeSet::new()).finish(BTreeMap::new());
        packed.pack();
        open.pack();
        prop_assert_eq!(packed.held(), open.held());
        let packed = rows(packed);
        prop_assert_eq!(all_columns(&packed), all_columns(&never));
        let (mut tables, mut expected) = (Tables::default(), Tables::default());
        tables.commit(packed);
        expected.commit(never);
        prop_assert_eq!(tables, expected);
    }
}
