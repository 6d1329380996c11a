//! Questions to the checkpoints: whether this process still owns its partitions, and whether a
//! commit took place.

use super::{Epochs, columns, lock};
use crate::{announcement::CHANNEL, write::Span};
use events_schema::Partition;
use sqlx::PgPool;
use std::collections::BTreeMap;

/// One statement, so that the check and the announcement see the same state. It commits
/// asynchronously, because nothing in it has to outlive a crash.
const CHECK: &str = "\
WITH checked AS (
    SELECT count(*) = cardinality($2::text[]) AS ours,
        count(*) FILTER (WHERE c.next_offset = o.next) = cardinality($2::text[]) AS in_place
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) o(topic, partition, epoch, next)
    JOIN rollcall.checkpoints c ON c.generation = $1 AND c.topic = o.topic AND c.partition = o.partition AND c.epoch = o.epoch
)
SELECT checked.ours, checked.in_place, EXISTS (SELECT FROM rollcall.pause),
    EXISTS (SELECT FROM rollcall.requests WHERE outcome IS NULL), EXISTS (SELECT FROM rollcall.repairs WHERE report IS NULL),
    EXISTS (SELECT FROM rollcall.erasures),
    (SELECT count(pg_notify($6, payload)) FROM unnest($7::text[]) payload WHERE checked.in_place),
    set_config('synchronous_commit', 'off', true)
FROM checked";

/// The result of [`Epochs::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceCheck {
    /// Whether this process still owns the partitions.
    pub are_ours: bool,
    /// Whether each checkpoint is where this process has put it. If it owns them and they are not,
    /// PostgreSQL was restored from a backup.
    pub are_in_place: bool,
    /// Whether the projectors are paused.
    pub is_paused: bool,
    /// Whether a request about dead letters is open, for any partition.
    pub has_requests: bool,
    /// Whether a request to repair a user is open, for any partition.
    pub has_repairs: bool,
    /// Whether a step of an erasure is left, for any partition.
    pub has_erasures: bool,
}

/// The state of a commit that failed or whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    /// It was committed.
    Committed,
    /// It was not committed and may be retried.
    NotCommitted,
    /// The partitions have another owner.
    FencedOff,
}

impl Epochs {
    /// Checks that this process still owns the partitions and that they are at these offsets, and
    /// looks for work of operators. If the check passes, it sends the announcements.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn check(
        &self,
        pool: &PgPool,
        generation: i32,
        partitions: &BTreeMap<Partition, i64>,
        announcements: &[String],
    ) -> sqlx::Result<FenceCheck> {
        let (topics, numbers) = columns(partitions.keys());
        let (are_ours, are_in_place, is_paused, has_requests, has_repairs, has_erasures) =
            sqlx::query_as(CHECK)
                .bind(generation)
                .bind(topics)
                .bind(numbers)
                .bind(partitions.keys().map(|partition| self.of(*partition)).collect::<Vec<_>>())
                .bind(partitions.values().copied().collect::<Vec<_>>())
                .bind(CHANNEL)
                .bind(announcements)
                .fetch_one(pool)
                .await?;
        Ok(FenceCheck { are_ours, are_in_place, is_paused, has_requests, has_repairs, has_erasures })
    }

    /// The state of a commit. Locking the rows waits for a commit that the server still works on.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn commit_state(
        &self,
        pool: &PgPool,
        generation: i32,
        spans: &BTreeMap<Partition, Span>,
    ) -> anyhow::Result<CommitState> {
        let mut transaction = pool.begin().await?;
        let partitions: Vec<_> = spans.keys().copied().collect();
        let checkpoints = lock(&mut transaction, generation, &partitions).await?;
        transaction.rollback().await?;
        let all = |next: fn(&Span) -> i64| {
            spans.iter().all(|(partition, span)| {
                checkpoints.get(partition).is_some_and(|checkpoint| {
                    checkpoint.next_offset == next(span) && checkpoint.epoch == self.of(*partition)
                })
            })
        };
        Ok(match (all(|span| span.next), all(|span| span.from)) {
            (true, _) => CommitState::Committed,
            (false, true) => CommitState::NotCommitted,
            (false, false) => CommitState::FencedOff,
        })
    }
}
