//! A fold of the log that implements the documentation and shares no code with the projector.
//!
//! An event is accepted if its sequence is the user's version + 1. A later one with the same
//! sequence has no effect. A deletion is final.

use crate::Record;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The state of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// How many events were accepted.
    pub version: u64,
    /// The creation time, as in the log.
    pub created_at: String,
    /// Claims and link. `None` if the user is deleted.
    pub personal: Option<Value>,
}

/// An event that took effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Partition and offset.
    pub at: (i32, i64),
    /// The user's key.
    pub key: String,
    /// The user's new version.
    pub version: u64,
    /// The request id, if there is one.
    pub request: Option<String>,
    /// The new claims and link. `None` for a deletion.
    pub personal: Option<Value>,
}

/// The outcome of an event.
enum Fate {
    Accepted(User),
    /// Another event had this sequence first.
    Rejected,
    /// It does not fit the user's state.
    Misfit,
}

/// The state that follows from the log.
#[derive(Debug, Default)]
pub struct Model {
    /// Users by key, including deleted ones.
    pub users: BTreeMap<String, User>,
    /// The accepted events, in the order of the input.
    pub accepted: Vec<Accepted>,
    /// Partition and offset of events without effect.
    pub rejected: BTreeSet<(i32, i64)>,
    /// Partition and offset of events that no correct writer appends: a gap, or an event that does
    /// not fit its user.
    pub misfits: BTreeSet<(i32, i64)>,
}

/// Folds the records of `users.events`. Each partition must be in order.
///
/// # Panics
/// A record breaks a promise of the log.
pub fn fold(records: &[Record]) -> Model {
    let model = Model::of(records);
    assert!(model.misfits.is_empty(), "what can't follow in the log: {:?}", model.misfits);
    model
}

fn fate(before: Option<&User>, record: &Record) -> Fate {
    let sequence: u64 = record.header("ce_sequence").parse().expect("a sequence is a number");
    let version = before.map_or(0, |user| user.version);
    if sequence <= version || before.is_some_and(|user| user.personal.is_none()) {
        return Fate::Rejected;
    }
    if sequence != version + 1 {
        return Fate::Misfit;
    }
    let data = record.json();
    let created_at = || data["createdAt"].as_str().expect("createdAt").to_owned();
    let (created_at, personal) = match (record.header("ce_type"), before) {
        ("user.created.v1", None) => (created_at(), Some(data["personal"].clone())),
        ("user.updated.v1", Some(user)) => (user.created_at.clone(), Some(data["personal"].clone())),
        ("user.deleted.v1", Some(user)) => (user.created_at.clone(), None),
        _ => return Fate::Misfit,
    };
    Fate::Accepted(User { version: sequence, created_at, personal })
}

impl Model {
    /// The same for a log with records of other writers.
    ///
    /// # Panics
    /// A record is no event.
    pub fn of(records: &[Record]) -> Self {
        let mut model = Self::default();
        for record in records {
            model.take(record);
        }
        model
    }

    fn take(&mut self, record: &Record) {
        let at = (record.partition, record.offset);
        match fate(self.users.get(&record.key), record) {
            Fate::Accepted(user) => {
                self.accepted.push(Accepted {
                    at,
                    key: record.key.clone(),
                    version: user.version,
                    request: record.find("ce_requestid").map(str::to_owned),
                    personal: user.personal.clone(),
                });
                self.users.insert(record.key.clone(), user);
            }
            Fate::Rejected => drop(self.rejected.insert(at)),
            Fate::Misfit => drop(self.misfits.insert(at)),
        }
    }
}

impl Model {
    /// The living users of a tenant as the API returns them, in the order of pages.
    pub fn page(&self, tenant: &str) -> Vec<Value> {
        let of_tenant = |key: &str| key.strip_prefix(tenant)?.strip_prefix('/').map(str::to_owned);
        let alive = self
            .users
            .iter()
            .filter_map(|(key, user)| Some((of_tenant(key)?, user, user.personal.as_ref()?)));
        let mut alive: Vec<_> = alive.collect();
        alive.sort_by(|a, b| (&a.1.created_at, &a.0).cmp(&(&b.1.created_at, &b.0)));
        alive.into_iter().map(|(id, _, personal)| printed(id, personal)).collect()
    }
}

fn printed(id: String, personal: &Value) -> Value {
    let mut user = personal.clone();
    user["id"] = id.into();
    user
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fact(offset: i64, ce_type: &str, sequence: u64, n: u32) -> Record {
        let headers = [("ce_type", ce_type.to_owned()), ("ce_sequence", sequence.to_string())];
        let personal = json!({ "claims": { "n": n } });
        Record {
            partition: 0,
            offset,
            key: "t/u".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            value: json!({ "createdAt": "c", "personal": personal }).to_string().into_bytes(),
        }
    }

    #[test]
    fn the_first_of_two_with_one_sequence_wins() {
        let log = [
            fact(0, "user.created.v1", 1, 0),
            fact(1, "user.updated.v1", 2, 1),
            fact(2, "user.updated.v1", 2, 2),
            fact(3, "user.created.v1", 1, 3),
        ];
        let model = fold(&log);
        assert_eq!(model.page("t"), [json!({ "id": "u", "claims": { "n": 1 } })]);
        assert_eq!(model.rejected, BTreeSet::from([(0, 2), (0, 3)]));
    }

    #[test]
    fn what_cannot_follow_is_told_apart() {
        let log = [
            fact(0, "user.updated.v1", 1, 0),
            fact(1, "user.created.v1", 1, 1),
            fact(2, "user.updated.v1", 3, 2),
        ];
        let model = Model::of(&log);
        assert_eq!(model.misfits, BTreeSet::from([(0, 0), (0, 2)]));
        assert_eq!(
            model.accepted.iter().map(|fact| (fact.at, fact.version)).collect::<Vec<_>>(),
            [((0, 1), 1)]
        );
    }

    #[test]
    fn deleted_is_for_ever() {
        let log = [
            fact(0, "user.created.v1", 1, 0),
            fact(1, "user.deleted.v1", 2, 0),
            fact(2, "user.updated.v1", 3, 1),
        ];
        let model = fold(&log);
        assert!(model.page("t").is_empty());
        assert_eq!(model.rejected, BTreeSet::from([(0, 2)]));
    }
}
