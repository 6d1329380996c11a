//! The evidence of a run: the log, the read model, the analytic events, and every user at the end.

use super::settle;
use crate::{
    Accepted, Deployment, Model, Record,
    chaos::history::{History, Position},
};
use std::collections::{BTreeMap, BTreeSet};

/// A user or a tombstone: key, version, claims.
pub type Row = (String, u64, Option<serde_json::Value>);

/// A user at the end, read from one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct LastWord {
    /// The instance.
    pub instance: String,
    /// The user's id.
    pub user: String,
    /// The status of a GET.
    pub status: u16,
    /// The version in the `ETag`.
    pub version: Option<u64>,
    /// The claims in the body.
    pub claims: Option<serde_json::Value>,
}

/// The read model at the end.
#[derive(Debug, Default)]
pub struct ReadModel {
    /// `live.users`.
    pub users: Vec<Row>,
    /// `live.tombstones`.
    pub tombstones: Vec<Row>,
    /// `live.rejections`.
    pub rejections: BTreeSet<Position>,
    /// The number of dead letters.
    pub dead_letters: i64,
    /// Every user, read from every instance.
    pub last_words: Vec<LastWord>,
    /// The list of users, page by page, from each instance.
    pub lists: Vec<(String, Vec<serde_json::Value>)>,
}

/// An analytic event.
#[derive(Debug, Clone, PartialEq)]
pub struct Analytic {
    /// Its `ce_id`.
    pub id: String,
    /// Its place.
    pub at: Position,
    /// The request.
    pub request: String,
    /// Its type, e.g. `USER_UPDATE_SUCCESS`.
    pub name: String,
}

/// The input of all checks.
#[derive(Debug)]
pub struct Evidence {
    /// The requests and answers of the clients.
    pub history: History,
    /// The request ids of all events in the log, by position.
    pub log: BTreeMap<Position, Option<String>>,
    /// The `ce_id`s of all events in the log.
    pub ids: Vec<(String, Position)>,
    /// The fold of the log.
    pub model: Model,
    /// The read model.
    pub read_model: ReadModel,
    /// The analytic events.
    pub analytics: Vec<Analytic>,
    /// The processes that answer at the end; the history has those at the beginning.
    pub ended: Vec<Option<crate::chaos::history::Identity>>,
    /// How many analytic events the services report as lost.
    pub dropped: u64,
    /// Whether Kafka logged that it ended an analytic transaction without its markers. This excuses
    /// nothing.
    pub markers_skipped: bool,
}

impl Evidence {
    /// Collects the evidence once everything is at rest: all faults are over and all clients have
    /// stopped. The checks report what never comes to rest.
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

    /// The accepted events of a request.
    pub fn by_request(&self) -> BTreeMap<&str, Vec<&Accepted>> {
        let mut found: BTreeMap<&str, Vec<&Accepted>> = BTreeMap::new();
        for fact in &self.model.accepted {
            if let Some(request) = &fact.request {
                found.entry(request).or_default().push(fact);
            }
        }
        found
    }

    /// Whether all processes at the end were there at the beginning.
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

/// The number in the claims of an event.
pub fn number(fact: &Accepted) -> Option<u64> {
    fact.personal.as_ref()?["claims"]["n"].as_u64()
}
