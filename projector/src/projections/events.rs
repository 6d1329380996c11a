//! From records to events: those that were accepted, decoded and opened.

use super::failed::Failed;
use domain::{codec::open, evolve::user};
use event_log::record::{Fact, Record};
use events_schema::{ReasonCode, UserKey, UserRecord, user::UserEvent};
use key_store::KeyRing;
use projections::{Event, Kind};
use read_model::{RejectionReason, projections::round::At};
use std::collections::{BTreeMap, BTreeSet};

/// The accepted events of a batch.
#[derive(Default)]
pub(super) struct Events {
    pub(super) events: Vec<Event>,
    /// Where each of them is.
    pub(super) places: Vec<At>,
    /// The events that came sealed, because their key is gone.
    sealed: Vec<(At, UserKey)>,
    /// Parked records.
    pub(super) waiting: Vec<At>,
}

impl Events {
    /// Leaves out what has no effect, and opens the rest.
    ///
    /// # Errors
    /// An accepted record can't be read.
    pub(super) fn open(
        records: impl Iterator<Item = Record>,
        keys: &KeyRing,
        rejected: &BTreeMap<At, RejectionReason>,
    ) -> Result<Self, Failed> {
        let mut events = Self::default();
        for record in records {
            let at = (record.partition.1, record.offset);
            match (rejected.get(&at), record.fact) {
                (Some(RejectionReason::Parked), _) => events.waiting.push(at),
                (Some(_), _) => {}
                (None, Fact::User(fact)) => events.push(at, *fact, keys)?,
                (None, Fact::Poison(poison)) => {
                    return Err(Failed::at(at, format!("this build can't read it ({})", poison.reason)));
                }
                (None, Fact::Unknown | Fact::Credential(_) | Fact::Discarded) => {}
            }
        }
        Ok(events)
    }

    fn push(&mut self, at: At, fact: UserRecord, keys: &KeyRing) -> Result<(), Failed> {
        let (user, sequence, time) = (fact.key.clone(), fact.sequence, fact.time);
        let sealed = sealed(&fact.event);
        let kind = match open(fact, keys) {
            Ok(fact) => opened(fact),
            Err(ReasonCode::KeyMissing) => {
                self.sealed.push((at, user.clone()));
                sealed
            }
            Err(reason) => return Err(Failed::at(at, reason.alone().to_string())),
        };
        self.events.push(Event { user, sequence, time, kind });
        self.places.push(at);
        Ok(())
    }

    /// The users whose deletion is among the events.
    pub(super) fn deleted(&self) -> BTreeSet<&UserKey> {
        self.events.iter().filter(|event| event.kind == Kind::Deleted).map(|event| &event.user).collect()
    }

    /// The users whose deletion matters: their events are opened, or could not be.
    pub(super) fn personal_users(&self) -> BTreeSet<&UserKey> {
        self.opened_users().chain(self.sealed.iter().map(|(_, user)| user)).collect()
    }

    fn opened_users(&self) -> impl Iterator<Item = &UserKey> {
        self.events.iter().filter(|event| event.personal().is_some()).map(|event| &event.user)
    }

    /// Whether an event of these users is opened.
    pub(super) fn has_opened(&self, deleted: &BTreeSet<UserKey>) -> bool {
        self.opened_users().any(|user| deleted.contains(user))
    }

    /// Takes the personal data of these users out, as a replay gets their events.
    pub(super) fn erase(&mut self, deleted: &BTreeSet<UserKey>) {
        self.events.iter_mut().filter(|event| deleted.contains(&event.user)).for_each(Event::erase);
    }

    /// The first sealed event of a user who was not deleted.
    pub(super) fn keyless(&self, deleted: &BTreeSet<UserKey>) -> Option<At> {
        self.sealed.iter().find(|(_, user)| !deleted.contains(user)).map(|(at, _)| *at)
    }
}

fn opened(fact: user::Fact) -> Kind {
    match fact {
        user::Fact::Created(creation, written) => {
            Kind::Created { created_at: creation.at, personal: Some(written.personal) }
        }
        user::Fact::Updated(written) => Kind::Updated { personal: Some(written.personal) },
        user::Fact::Deleted => Kind::Deleted,
    }
}

fn sealed(event: &UserEvent) -> Kind {
    match event {
        UserEvent::Created(data) => Kind::Created { created_at: data.created_at, personal: None },
        UserEvent::Updated(_) => Kind::Updated { personal: None },
        UserEvent::Deleted(_) => Kind::Deleted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_log::{raw::Raw, record::Poison};
    use events_schema::{
        Timestamp, Topic,
        personal::{EncodedPersonal, Personal},
        user::{UserDeleted, UserUpdated},
    };
    use uuid::Uuid;

    fn record(offset: i64, fact: Fact) -> Record {
        Record { partition: (Topic::Users, 0), offset, time: None, fact, raw: Raw::default() }
    }

    fn user() -> UserKey {
        UserKey { tenant: "acme".parse().unwrap(), user: Uuid::nil() }
    }

    fn fact(event: UserEvent) -> Fact {
        let time = Timestamp::from_unix_millis(0).unwrap();
        Fact::User(Box::new(UserRecord {
            id: Uuid::nil(),
            key: user(),
            sequence: 2,
            time,
            key_id: None,
            request_id: None,
            client_id: None,
            traceparent: None,
            ce_type: event.event_type().as_str(),
            event,
        }))
    }

    fn updated(personal: EncodedPersonal) -> Fact {
        fact(UserEvent::Updated(UserUpdated { personal }))
    }

    fn plain() -> EncodedPersonal {
        EncodedPersonal::Plain(Personal { claims: Default::default(), authentication_provider: None })
    }

    fn sealed() -> EncodedPersonal {
        serde_json::from_value(serde_json::json!({ "nonce": "AAAA", "ciphertext": "AAAA" })).unwrap()
    }

    fn open(records: Vec<Record>, rejected: &[(i64, RejectionReason)]) -> Result<Events, Failed> {
        let rejected = rejected.iter().map(|(offset, reason)| ((0, *offset), *reason)).collect();
        Events::open(records.into_iter(), &KeyRing::default(), &rejected)
    }

    #[test]
    fn what_has_no_effect_is_left_out() {
        let facts = (0..4).map(|offset| record(offset, updated(plain())));
        let facts = facts.chain([record(4, Fact::Unknown)]).collect();
        let rejected =
            [(0, RejectionReason::Superseded), (1, RejectionReason::Parked), (2, RejectionReason::Discarded)];
        let events = open(facts, &rejected).unwrap();
        assert_eq!((events.places, events.waiting), (vec![(0, 3)], vec![(0, 1)]));
    }

    #[test]
    fn an_accepted_record_that_can_not_be_read_stops() {
        let poison = || Poison { key: None, is_at_home: false, reason: ReasonCode::NotJson.alone() };
        let failed = open(vec![record(7, Fact::Poison(poison()))], &[]).err().expect("stops");
        assert_eq!(failed.record, Some((0, 7)));
        let parked = [(7, RejectionReason::Parked)];
        assert_eq!(open(vec![record(7, Fact::Poison(poison()))], &parked).unwrap().waiting, [(0, 7)]);
    }

    #[test]
    fn a_sealed_event_is_one_of_a_deleted_user_or_a_fault() {
        let events = open(vec![record(5, updated(sealed()))], &[]).unwrap();
        assert_eq!(events.events[0].personal(), None);
        assert_eq!(events.keyless(&BTreeSet::new()), Some((0, 5)));
        assert_eq!(events.keyless(&BTreeSet::from([user()])), None);
    }

    #[test]
    fn an_opened_event_of_a_deleted_user_is_erased() {
        let deletion = fact(UserEvent::Deleted(UserDeleted {}));
        let mut events = open(vec![record(0, updated(plain())), record(1, deletion)], &[]).unwrap();
        let deleted = BTreeSet::from([user()]);
        assert!(events.has_opened(&deleted) && !events.has_opened(&BTreeSet::new()));
        assert_eq!(events.deleted(), BTreeSet::from([&user()]));
        events.erase(&deleted);
        assert!(!events.has_opened(&deleted));
    }
}
