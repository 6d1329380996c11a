//! What the projector sends over `NOTIFY` on [`CHANNEL`], and how a service reads it.
//!
//! There are three kinds of announcement. All of them name the generation that they are about:
//!
//! - a batch was committed: which records it covers, and which of them had no effect;
//! - the owner of some partitions confirms up to where they are folded and where the log ends;
//! - the generation has become the live one.
//!
//! PostgreSQL limits a payload to 8,000 bytes. A list that does not fit is left out, and the reader
//! asks the read model instead.

use crate::WriteOutcome;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The channel of all announcements.
pub const CHANNEL: &str = "rollcall_progress";
/// The longest payload that is sent.
const MAX_PAYLOAD: usize = 7_000;
/// The most partitions in one confirmation, so that it fits into a payload.
const CONFIRMED_AT_ONCE: usize = 100;

/// One payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The generation that it is about.
    #[serde(rename = "g")]
    pub generation: i32,
    /// The batch that was committed, if it announces one.
    #[serde(flatten)]
    pub batch: Option<CommittedBatch>,
    /// Partitions whose owner has just confirmed that it still owns them. The name in the payload
    /// stays `standings`, so that projectors and services of different releases understand each
    /// other.
    #[serde(rename = "standings", default, skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<ConfirmedPartition>,
}

/// The records that a batch covers in one partition of `users.events`. They are folded and visible
/// to every read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedBatch {
    /// The partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The first offset after the batch.
    pub next: i64,
    /// Offsets of the events without effect. `None` where the list did not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Vec<i64>>,
    /// Those of the rejected ones that are parked. Projectors of earlier releases don't send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<Vec<i64>>,
}

/// Up to where a partition is folded and where its log ends, confirmed by its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Confirmed", into = "Confirmed")]
pub struct ConfirmedPartition {
    /// The topic's short name, as in the checkpoints.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that is not folded.
    pub next: i64,
    /// The end of the log.
    pub end: i64,
}

/// The members of a [`ConfirmedPartition`] in the payload's order.
type Confirmed = (String, i32, i64, i64);

impl From<Confirmed> for ConfirmedPartition {
    fn from((topic, partition, next, end): Confirmed) -> Self {
        Self { topic, partition, next, end }
    }
}

impl From<ConfirmedPartition> for Confirmed {
    fn from(confirmed: ConfirmedPartition) -> Self {
        (confirmed.topic, confirmed.partition, confirmed.next, confirmed.end)
    }
}

impl CommittedBatch {
    /// The events without effect and the outcome of each. `None` where the read model must be
    /// asked.
    pub(crate) fn without_effect(&self) -> Option<Vec<(i64, WriteOutcome)>> {
        let rejected = self.rejected.as_ref()?;
        let parked = self.parked.as_ref();
        if parked.is_none() && !rejected.is_empty() {
            return None;
        }
        let is_parked = |offset: &i64| parked.is_some_and(|parked| parked.contains(offset));
        let outcome =
            |offset: &i64| if is_parked(offset) { WriteOutcome::Parked } else { WriteOutcome::Rejected };
        Some(rejected.iter().map(|offset| (*offset, outcome(offset))).collect())
    }
}

/// The payload for the records of a partition that a batch covers. `rejected` lists the events
/// without effect, `parked` those of them that are parked.
pub fn batch_committed(
    generation: i32,
    partition: i32,
    Range { start: from, end: next }: Range<i64>,
    rejected: Vec<i64>,
    parked: Vec<i64>,
) -> String {
    let parked = (!rejected.is_empty()).then_some(parked);
    let batch = CommittedBatch { partition, from, next, rejected: Some(rejected), parked };
    let whole = print(generation, Some(batch.clone()), Vec::new());
    if whole.len() < MAX_PAYLOAD {
        return whole;
    }
    print(generation, Some(CommittedBatch { rejected: None, parked: None, ..batch }), Vec::new())
}

/// The payloads that confirm partitions.
pub fn partitions_confirmed(generation: i32, confirmed: &[ConfirmedPartition]) -> Vec<String> {
    confirmed.chunks(CONFIRMED_AT_ONCE).map(|some| print(generation, None, some.to_vec())).collect()
}

/// The payload that says that the generation has become the live one.
pub fn generation_promoted(generation: i32) -> String {
    print(generation, None, Vec::new())
}

/// Reads a payload. `None` if it is no announcement.
pub fn parse(payload: &str) -> Option<Announcement> {
    serde_json::from_str(payload).ok()
}

fn print(generation: i32, batch: Option<CommittedBatch>, confirmed: Vec<ConfirmedPartition>) -> String {
    // Serializing numbers, lists and texts can't fail.
    serde_json::to_string(&Announcement { generation, batch, confirmed }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(partition: i32, next: i64, end: i64) -> ConfirmedPartition {
        ConfirmedPartition { topic: "users".to_owned(), partition, next, end }
    }

    #[test]
    fn a_notice_may_say_no_more_than_its_generation() {
        assert_eq!(generation_promoted(2), r#"{"g":2}"#);
        let parsed = parse(r#"{"g":2}"#);
        assert_eq!(parsed, Some(Announcement { generation: 2, batch: None, confirmed: Vec::new() }));
    }

    #[test]
    fn a_batch_is_read_as_it_is_printed() {
        let printed = batch_committed(2, 1, 3..5, vec![3, 4], vec![4]);
        assert_eq!(printed, r#"{"g":2,"p":1,"from":3,"next":5,"rejected":[3,4],"parked":[4]}"#);
        let batch = parse(&printed).unwrap().batch.unwrap();
        assert_eq!((batch.partition, batch.from, batch.next), (1, 3, 5));
        let outcomes = [(3, WriteOutcome::Rejected), (4, WriteOutcome::Parked)];
        assert_eq!(batch.without_effect(), Some(outcomes.to_vec()));
        let printed = batch_committed(2, 1, 3..5, Vec::new(), Vec::new());
        assert_eq!(printed, r#"{"g":2,"p":1,"from":3,"next":5,"rejected":[]}"#);
        assert_eq!(parse(&printed).unwrap().batch.unwrap().without_effect(), Some(Vec::new()));
    }

    #[test]
    fn a_list_that_does_not_fit_is_left_out() {
        let printed = batch_committed(2, 1, 0..2_000, (0..2_000).collect(), Vec::new());
        assert_eq!(printed, r#"{"g":2,"p":1,"from":0,"next":2000}"#);
        assert_eq!(parse(&printed).unwrap().batch.unwrap().without_effect(), None);
    }

    #[test]
    fn an_announcement_fits_into_a_notification() {
        let owned: Vec<_> = (0..250).map(|partition| users(partition, i64::MAX, i64::MAX)).collect();
        let all = partitions_confirmed(i32::MAX, &owned);
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|payload| payload.len() < 8_000));
        let one = partitions_confirmed(2, &[users(3, 7, 9)]);
        assert_eq!(one, [r#"{"g":2,"standings":[["users",3,7,9]]}"#]);
        assert_eq!(parse(&one[0]).unwrap().confirmed, [users(3, 7, 9)]);
        assert!(partitions_confirmed(2, &[]).is_empty());
    }
}
