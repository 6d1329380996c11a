//! The state that follows from the log, by the one rule of the documentation and without a line of the projector's.
//!
//! A fact is accepted if its sequence is the user's version + 1; one that comes late has no effect; deleted is for ever.

use crate::Record;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// How many facts were accepted.
    pub version: u64,
    /// When it was created, as the log prints it.
    pub created_at: String,
    /// Claims and link, or nothing once it is deleted.
    pub personal: Option<Value>,
}

/// A fact that had its effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Partition and offset.
    pub at: (i32, i64),
    /// Whose fact it is.
    pub key: String,
    /// The version that it gave.
    pub version: u64,
    /// The request that asked for it, if one did.
    pub request: Option<String>,
    /// Claims and link as it leaves them, or nothing where it deletes.
    pub personal: Option<Value>,
}

/// What becomes of a fact.
enum Fate {
    Accepted(User),
    /// It came late.
    Rejected,
    /// It can't follow on what was there.
    Misfit,
}

/// Everything that follows from the log.
#[derive(Debug, Default)]
pub struct Model {
    /// Users by key, the deleted ones too.
    pub users: BTreeMap<String, User>,
    /// The facts that had their effect, in the order in which they were given.
    pub accepted: Vec<Accepted>,
    /// Partition and offset of the facts without effect.
    pub rejected: BTreeSet<(i32, i64)>,
    /// Partition and offset of those that no sound writer appends: a gap, or a fact that does not fit its user.
    pub misfits: BTreeSet<(i32, i64)>,
}

/// Folds the records of `users.events`, given in the order of each partition.
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
    /// What follows from a log that may have been written by anybody.
    ///
    /// # Panics
    /// A record is not even an event.
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
    /// The living users of a tenant in the order of pages, as the API prints them.
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
