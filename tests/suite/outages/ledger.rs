//! The answers to writes, compared with the log.

use super::bounded;
use serde_json::json;
use std::{collections::BTreeSet, sync::Mutex};
use tests::{Answer, Api, Record, until};
use uuid::Uuid;

/// The creates, each with its own mark.
#[derive(Default)]
pub struct Ledger {
    /// Marks and ids of users that are in the log according to the answer.
    kept: Mutex<Vec<(String, String)>>,
    /// Marks of users that were not written according to the answer.
    refused: Mutex<Vec<String>>,
}

impl Ledger {
    /// Creates a user. Returns the status.
    pub async fn create(&self, api: &Api) -> u16 {
        let mark = Uuid::new_v4().to_string();
        let answer = bounded("a write is answered", api.create(json!({ "claims": { "mark": mark } }))).await;
        match answer.status {
            201 | 202 => {
                let id = answer.header("location").rsplit_once('/').unwrap().1.to_owned();
                self.kept.lock().unwrap().push((mark, id));
            }
            503 => {
                retry_is_offered(&answer);
                if answer.text().contains("nothing was") {
                    self.refused.lock().unwrap().push(mark);
                }
            }
            other => panic!("{other}: {}", answer.text()),
        }
        answer.status
    }

    /// Creates users until one is answered with 201.
    pub async fn works(&self, api: &Api) {
        until("writes work", async || (self.create(api).await == 201).then_some(())).await;
    }

    /// Promised users are in the log and visible, denied ones are not.
    pub async fn check(&self, api: &Api, log: &[Record]) {
        let in_log: BTreeSet<String> = log
            .iter()
            .filter_map(|record| Some(record.json()["personal"]["claims"]["mark"].as_str()?.to_owned()))
            .collect();
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        let refused = std::mem::take(&mut *self.refused.lock().unwrap());
        for (mark, id) in &kept {
            assert!(in_log.contains(mark), "promised and not in the log: {id}");
            until("everything promised is visible", async || (api.get(id).await.status == 200).then_some(()))
                .await;
        }
        for mark in &refused {
            assert!(!in_log.contains(mark), "denied and in the log: {mark}");
        }
    }
}

/// A 503 has `Retry-After`.
pub fn retry_is_offered(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
}
