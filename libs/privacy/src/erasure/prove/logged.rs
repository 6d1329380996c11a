//! What the log contains about a user.

use super::super::{
    content::{Content, SealedPart, content, is_empty},
    findings::{Findings, Kind},
    report::{CredentialCounts, EventCounts, Place},
};
use event_log::{
    record::{Fact, Record},
    record_owner::named_users,
};
use events_schema::{Place as RecordPlace, Topic, UserKey};
use std::collections::BTreeSet;

/// The user's records, by what they contain.
pub(super) struct Logged {
    /// The discarded records of anybody.
    all_discarded: BTreeSet<RecordPlace>,
    pub(super) counts: EventCounts,
    pub(super) credentials: CredentialCounts,
    pub(super) sealed: Vec<(Place, SealedPart)>,
    plain: Vec<Place>,
    /// Places in both topics.
    unclear: Vec<String>,
    /// Places in both topics.
    pub(super) discarded: Vec<String>,
    /// All records in `users.events`, except empty and discarded ones.
    pub(super) places: Vec<Place>,
    /// The requests that the events name.
    pub(super) requests: BTreeSet<String>,
}

impl Logged {
    pub(super) fn new(all_discarded: BTreeSet<RecordPlace>) -> Self {
        Self {
            all_discarded,
            counts: EventCounts::default(),
            credentials: CredentialCounts::default(),
            sealed: Vec::new(),
            plain: Vec::new(),
            unclear: Vec::new(),
            discarded: Vec::new(),
            places: Vec::new(),
            requests: BTreeSet::new(),
        }
    }

    /// Takes a record, if it names the user.
    pub(super) fn take(&mut self, record: &Record, user: &UserKey) {
        if !named_users(&record.raw).any(|named| named == *user) {
            return;
        }
        match record.partition.0 {
            Topic::Users => self.take_event(record),
            Topic::Credentials => self.take_credential(record),
        }
    }

    fn take_event(&mut self, record: &Record) {
        let place = Place { partition: record.partition.1, offset: record.offset };
        self.counts.events += 1;
        self.requests.extend(record.raw.header("ce_requestid").map(str::to_owned));
        let mut holds_something = !is_empty(&record.raw);
        match content(&record.raw) {
            Content::Nothing => self.counts.impersonal += 1,
            Content::Sealed(part) => {
                self.counts.sealed += 1;
                self.sealed.push((place, part));
            }
            Content::Plain => {
                self.counts.plain += 1;
                self.plain.push(place);
            }
            Content::Unclear if self.is_discarded(record) => {
                self.counts.discarded += 1;
                self.discarded.push(place.to_string());
                holds_something = false;
            }
            Content::Unclear => {
                self.counts.unclear += 1;
                self.unclear.push(place.to_string());
            }
        }
        self.places.extend(Some(place).filter(|_| holds_something));
    }

    /// Facts are pseudonymous by contract. A record that is no fact may contain anything.
    fn take_credential(&mut self, record: &Record) {
        let place = || format!("credentials:{}:{}", record.partition.1, record.offset);
        self.credentials.records += 1;
        match record.fact {
            Fact::Poison(_) if is_empty(&record.raw) => self.credentials.empty += 1,
            Fact::Poison(_) if self.is_discarded(record) => {
                self.credentials.discarded += 1;
                self.discarded.push(place());
            }
            Fact::Poison(_) => {
                self.credentials.unclear += 1;
                self.unclear.push(place());
            }
            Fact::User(_) | Fact::Credential(_) | Fact::Unknown | Fact::Discarded => {
                self.credentials.facts += 1
            }
        }
    }

    fn is_discarded(&self, record: &Record) -> bool {
        self.all_discarded.contains(&(record.partition, record.offset))
    }

    /// Reports the records that can still be read. `readable` are the sealed ones, by number.
    pub(super) fn report(&self, readable: &BTreeSet<usize>, findings: &mut Findings) {
        let readable = readable.iter().filter_map(|n| self.sealed.get(*n)).map(|(place, _)| place);
        readable.for_each(|place| findings.add(Kind::OpenedEvents, place));
        self.plain.iter().for_each(|place| findings.add(Kind::PlainEvents, place));
        self.unclear.iter().for_each(|place| findings.add(Kind::UnclearRecords, place));
    }
}
