//! What a run left behind: the log, the read model, the topic of analytic events, and what every user looks like at the end.

use super::settle;
use crate::{
    Accepted, Deployment, Model, Record,
    chaos::history::{History, Position},
};
use std::collections::{BTreeMap, BTreeSet};

/// A user or a tombstone as it stands somewhere: key, version, claims.
pub type Row = (String, u64, Option<serde_json::Value>);

/// What one instance says of a user at the end: the id, the status, the version, and the number in its claims.
#[derive(Debug, Clone, PartialEq)]
pub struct LastWord {
    /// The instance.
    pub instance: String,
    /// The user's id.
    pub user: String,
    /// The status of a GET.
    pub status: u16,
    /// The version in its `ETag`.
    pub version: Option<u64>,
    /// The claims in its body.
    pub claims: Option<serde_json::Value>,
}

/// The read model as it stands.
#[derive(Debug, Default)]
pub struct ReadModel {
    /// `live.users`.
    pub users: Vec<Row>,
    /// `live.tombstones`.
    pub tombstones: Vec<Row>,
    /// `live.rejections`.
    pub rejections: BTreeSet<Position>,
    /// How many dead letters there are.
    pub dead_letters: i64,
    /// What the services say of each user.
    pub last_words: Vec<LastWord>,
    /// The whole list of users, page by page, of each instance.
    pub lists: Vec<(String, Vec<serde_json::Value>)>,
}

/// An analytic event.
#[derive(Debug, Clone, PartialEq)]
pub struct Analytic {
    /// Its `ce_id`.
    pub id: String,
    /// Where it is.
    pub at: Position,
    /// The request.
    pub request: String,
    /// Its type, e.g. `USER_UPDATE_SUCCESS`.
    pub name: String,
}

/// Everything that the checks look at.
#[derive(Debug)]
pub struct Evidence {
    /// What the clients saw.
    pub history: History,
    /// Request ids by position, of everything in the log.
    pub log: BTreeMap<Position, Option<String>>,
    /// The `ce_id` of everything in the log.
    pub ids: Vec<(String, Position)>,
    /// What follows from the log.
    pub model: Model,
    /// The read model.
    pub read_model: ReadModel,
    /// The topic of analytic events.
    pub analytics: Vec<Analytic>,
    /// The processes that answer at the end, as the history has them for the beginning.
    pub ended: Vec<Option<crate::chaos::history::Identity>>,
    /// How many analytic events the services say they have lost.
    pub dropped: u64,
    /// Whether Kafka says that it ended a transaction of the analytic pipeline without its markers. It excuses nothing.
    pub markers_skipped: bool,
}

impl Evidence {
    /// Gathers it, once everything is at rest: all faults healed and no client left. What never comes to rest is for the checks to say.
    ///
    /// # Panics
    /// A store can't be read.
    pub async fn gather(deployment: &Deployment, history: History) -> Self {
        let records = settle::log_at_rest(deployment).await;
        let model = Model::of(&records);
        let analytics = settle::analytics_at_rest(deployment, &model).await;
        let read_model = settle::read_model(deployment, &history.targets, &model).await;
        let (ended, dropped) = (history.identities().await, settle::dropped(&history.targets).await);
        let (log, ids) = (by_position(&records), ids(&records));
        let markers_skipped = settle::markers_skipped(deployment);
        Self { history, log, ids, model, read_model, analytics, ended, dropped, markers_skipped }
    }

    /// The key of a user.
    pub fn key(&self, user: &str) -> String {
        format!("{}/{user}", self.history.targets.tenant)
    }

    /// The accepted events of the clients' tenant.
    pub fn facts(&self) -> impl Iterator<Item = &Accepted> {
        let tenant = self.key("");
        self.model.accepted.iter().filter(move |fact| fact.key.starts_with(&tenant))
    }

    /// The accepted events that a request asked for.
    pub fn by_request(&self) -> BTreeMap<&str, Vec<&Accepted>> {
        let mut found: BTreeMap<&str, Vec<&Accepted>> = BTreeMap::new();
        for fact in &self.model.accepted {
            if let Some(request) = &fact.request {
                found.entry(request).or_default().push(fact);
            }
        }
        found
    }

    /// Whether everything that answers at the end was there at the beginning.
    pub fn nobody_was_restarted(&self) -> bool {
        !self.ended.contains(&None) && self.ended == self.history.began
    }
}

fn by_position(records: &[Record]) -> BTreeMap<Position, Option<String>> {
    let entry =
        |record: &Record| ((record.partition, record.offset), record.find("ce_requestid").map(str::to_owned));
    records.iter().map(entry).collect()
}

fn ids(records: &[Record]) -> Vec<(String, Position)> {
    let id = |record: &Record| (record.header("ce_id").to_owned(), (record.partition, record.offset));
    records.iter().map(id).collect()
}

/// The number in the claims that a fact leaves.
pub fn number(fact: &Accepted) -> Option<u64> {
    fact.personal.as_ref()?["claims"]["n"].as_u64()
}
