//! What the tests of the fold share: records of a log, and tables that take effects.

use domain::evolve::user::State;
use event_log::{raw::Raw, record::Record};
use events_schema::{
    Envelope, EventType, ReasonCode, Timestamp, Topic, UserKey,
    personal::{Base64, Binding, EncodedPersonal, Personal, Sealed},
    user::{UserCreated, UserDeleted, UserEvent, UserUpdated},
};
use key_store::{DataKey, KeyRing};
use projector::pipeline::{ParkedQueue, States};
use read_model::write::Effects;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The rows of the read model.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tables {
    pub(crate) users: BTreeMap<UserKey, (u64, String)>,
    pub(crate) tombstones: BTreeMap<UserKey, u64>,
    pub(crate) rejections: BTreeMap<i64, &'static str>,
    /// By offset: the user, the sequence and the reason.
    pub(crate) letters: BTreeMap<i64, (UserKey, Option<u64>, ReasonCode)>,
}

impl Tables {
    pub(crate) fn states(&self, keys: &KeyRing) -> States {
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

    pub(crate) fn commit(&mut self, effects: Effects) {
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

pub(crate) fn key(user: u128) -> UserKey {
    UserKey { tenant: "acme".parse().unwrap(), user: Uuid::from_u128(user + 1) }
}

/// Users of one partition.
pub(crate) const USERS: u128 = 3;

/// An event of a writer: the user, its kind, how far its sequence is behind, and a number to
/// recognize it by.
pub(crate) type Written = (u128, u8, u64, u8);

/// Appends events as writers do that may have seen an old version.
pub(crate) fn log(written: &[Written], keys: &BTreeMap<UserKey, DataKey>) -> Vec<Record> {
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

fn time() -> Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

/// A record of `users.events`. Kind 0 is a deletion, the others are updates.
pub(crate) fn record(
    offset: i64,
    key: &UserKey,
    sequence: u64,
    kind: u8,
    n: u8,
    data_key: &DataKey,
) -> Record {
    let sealed = |event_type: EventType| {
        let personal: Personal = serde_json::from_value(serde_json::json!({ "claims": { "n": n } })).unwrap();
        let bound = Binding { key, ce_type: event_type.as_str(), sequence }.associated_data();
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
