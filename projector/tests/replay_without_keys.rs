//! A log is folded twice: once with the data keys of all users, and once after the keys of deleted
//! users were destroyed, as in every rebuild. However the log is cut into batches, the read model
//! is the same, and nobody is left waiting for a key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use domain::{codec::owner, evolve::user::State};
use event_log::{raw::Raw, record::Record};
use events_schema::{
    Envelope, EventType, ReasonCode, Timestamp, Topic, UserKey,
    personal::{Base64, Binding, EncodedPersonal, Personal, Sealed},
    user::{UserCreated, UserDeleted, UserEvent, UserUpdated},
};
use key_store::{DataKey, KeyRing};
use projector::pipeline::{Batch, ParkedQueue, States, fold as fold_batch};
use proptest::prelude::*;
use read_model::write::Effects;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

/// Users of one partition.
const USERS: u128 = 3;

/// An event of a writer: the user, its kind, how far its sequence is behind, and a number to
/// recognize it by.
type Written = (u128, u8, u64, u8);

/// The rows of the read model.
#[derive(Debug, Default, PartialEq)]
struct Tables {
    users: BTreeMap<UserKey, (u64, String)>,
    tombstones: BTreeMap<UserKey, u64>,
    rejections: BTreeMap<i64, &'static str>,
    /// By offset: the user, the sequence and the reason.
    letters: BTreeMap<i64, (UserKey, Option<u64>, ReasonCode)>,
}

impl Tables {
    fn states(&self, keys: &KeyRing) -> States {
        let present = self.users.iter().map(|(key, (version, _))| (key.clone(), State::Present(*version)));
        let gone = self.tombstones.iter().map(|(key, version)| (key.clone(), State::Deleted(*version)));
        let mut states =
            States { users: present.chain(gone).collect(), keys: keys.clone(), ..States::default() };
        for (offset, (key, sequence, reason)) in &self.letters {
            let version = states.users.get(key).map_or(0, |state| state.version());
            let is_for_key = *reason == ReasonCode::KeyMissing;
            let queue =
                states.parked.entry(key.clone()).or_insert_with(|| ParkedQueue::new(version, is_for_key));
            queue.push((0, *offset), *sequence);
        }
        states
    }

    fn commit(&mut self, effects: Effects) {
        for at in effects.restored {
            self.rejections.remove(&at.1);
        }
        self.rejections.extend(effects.rejections.into_iter().map(|row| (row.at.1, row.reason.as_str())));
        for row in effects.users {
            self.users.insert(row.key, (row.version, row.body));
        }
        for row in effects.tombstones {
            self.users.remove(&row.key);
            self.letters.retain(|_, (key, ..)| *key != row.key);
            assert_eq!(self.tombstones.insert(row.key, row.version), None, "no user is deleted twice");
        }
        for row in effects.dead_letters {
            self.letters.insert(row.offset, (row.key.expect("an owner"), row.sequence, row.reason.code));
        }
    }
}

fn key(user: u128) -> UserKey {
    UserKey { tenant: "acme".parse().unwrap(), user: Uuid::from_u128(user + 1) }
}

fn time() -> Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

/// Appends events as writers do that may have seen an old version.
fn log(written: &[Written], keys: &BTreeMap<UserKey, DataKey>) -> Vec<Record> {
    let mut seen: BTreeMap<u128, u64> = BTreeMap::new();
    let mut records = Vec::new();
    for (offset, (user, kind, late, n)) in (0..).zip(written) {
        let next = seen.entry(user % USERS).or_insert(1);
        let sequence = next.saturating_sub(*late).max(1);
        let key = key(user % USERS);
        records.push(record(offset, &key, sequence, *kind, *n, &keys[&key]));
        *next = (*next).max(sequence + 1);
    }
    records
}

fn record(offset: i64, key: &UserKey, sequence: u64, kind: u8, n: u8, data_key: &DataKey) -> Record {
    let sealed = |event_type| {
        let personal: Personal = serde_json::from_value(serde_json::json!({ "claims": { "n": n } })).unwrap();
        let bound = Binding { key, event_type, sequence }.associated_data();
        let sealed = data_key.seal(bound.as_bytes(), &personal.plaintext()).unwrap();
        EncodedPersonal::Sealed(Sealed { nonce: Base64(sealed.nonce), ciphertext: Base64(sealed.ciphertext) })
    };
    let event = match (sequence, kind % 4) {
        (1, _) => {
            UserEvent::Created(UserCreated { created_at: time(), personal: sealed(EventType::UserCreated) })
        }
        (_, 0) => UserEvent::Deleted(UserDeleted {}),
        _ => UserEvent::Updated(UserUpdated { personal: sealed(EventType::UserUpdated) }),
    };
    let envelope = Envelope {
        id: Uuid::from_u128(offset.cast_unsigned().into()),
        event_type: event.event_type(),
        time: time(),
        user: key.user,
        tenant: key.tenant.clone(),
        sequence: Some(sequence),
        key_id: event.is_sealed().then(|| data_key.id()),
        request_id: None,
        client_id: None,
        traceparent: None,
    };
    let headers = envelope.headers().into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
    let raw = Raw {
        key: Some(key.to_string().into_bytes()),
        value: Some(event.data()),
        headers: headers.collect(),
    };
    Record::of((Topic::Users, 0), offset, Some(time()), raw, 1)
}

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
