//! Reprocessing a dead letter's queue: loading it, and committing the result.

use super::{
    Effects, InvalidationStatus, Mode, Store,
    erase::TakeOver,
    ownership::{self, Epochs},
};
use crate::operate::requests::{self, Outcome, Request};
use events_schema::{Partition, Place, Reason, Timestamp, Topic, millis, raw::Raw};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Records that are reprocessed at once, at most.
const MAX_QUEUE: i64 = 2_000;

/// The queue of a dead letter: all letters of its user in the user's own partition, or the letter
/// alone if it waits for nobody. In the order of the log, `users.events` first.
pub(super) const LOAD_QUEUE: &str = "\
SELECT d.topic, d.partition, d.log_offset, d.key, d.value, coalesce(d.raw_headers, d.headers), d.raw_headers IS NOT NULL, d.record_time \
FROM {g}.dead_letters named JOIN {g}.dead_letters d \
    ON d.id = named.id OR (named.at_home AND d.at_home AND d.tenant_id = named.tenant_id AND d.user_id = named.user_id) \
WHERE named.topic = $1 AND named.partition = $2 AND named.log_offset = $3 \
ORDER BY d.topic DESC, d.log_offset LIMIT $4";

/// Deletes resolved dead letters and their rejections.
pub(super) const RESOLVE: &str = "\
WITH resolved AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS s(topic, log_offset)), \
    letters AS (DELETE FROM {g}.dead_letters d USING resolved s \
        WHERE d.topic = s.topic AND d.partition = $3 AND d.log_offset = s.log_offset) \
DELETE FROM {g}.rejections r USING resolved s WHERE s.topic = 'users' AND r.partition = $3 AND r.log_offset = s.log_offset";

/// Updates the reasons of dead letters that remain.
pub(super) const UPDATE_REASONS: &str = "\
UPDATE {g}.dead_letters d SET reason = s.reason, detail = s.detail \
FROM unnest($1::text[], $2::bigint[], $4::text[], $5::text[]) AS s(topic, log_offset, reason, detail) \
WHERE d.topic = s.topic AND d.partition = $3 AND d.log_offset = s.log_offset AND (d.reason, d.detail) IS DISTINCT FROM (s.reason, s.detail)";

/// A record as a dead letter keeps it.
pub struct StoredRecord {
    /// The record's partition.
    pub partition: Partition,
    /// The record's offset.
    pub offset: i64,
    /// Kafka's time of the record.
    pub time: Option<Timestamp>,
    /// The record's bytes.
    pub raw: Raw,
}

/// A dead letter that remains, and why.
pub type Remaining = (Topic, i64, Reason);

/// The result of folding a queue again.
pub struct Reprocessed {
    /// The partition, of `users.events`.
    pub partition: i32,
    /// What changes. Its span names the checkpoint and does not move it.
    pub effects: Effects,
    /// The dead letters that are resolved.
    pub resolved: Vec<(Topic, i64)>,
    /// The dead letters that remain.
    pub remaining: Vec<Remaining>,
    /// The answer to the operator.
    pub outcome: Outcome,
}

type Row = (String, i32, i64, Option<Vec<u8>>, Option<Vec<u8>>, Value, bool, Option<OffsetDateTime>);

impl Store {
    /// The queue that a dead letter is in, in the order of the log.
    ///
    /// # Errors
    /// The query failed.
    pub async fn load_queue(&self, ((topic, partition), offset): Place) -> sqlx::Result<Vec<StoredRecord>> {
        let rows: Vec<Row> = sqlx::query_as(self.sql.load_queue.get())
            .bind(topic.as_str())
            .bind(partition)
            .bind(offset)
            .bind(MAX_QUEUE)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().filter_map(record).collect())
    }

    /// Commits a reprocessed queue and answers the request, if there is one. Returns `false`, with
    /// no effect, if the partition has another owner or the request was withdrawn.
    ///
    /// # Errors
    /// The commit failed, or its answer was lost: then it may have been committed all the same.
    pub async fn commit_reprocessed(
        &self,
        request: Option<&Request>,
        reprocessed: &Reprocessed,
        epochs: &Epochs,
        invalidation: InvalidationStatus,
    ) -> sqlx::Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let users = (Topic::Users, reprocessed.partition);
        // The checkpoint is locked before any other row, by everybody: this rules out deadlocks.
        let checkpoints = ownership::lock(&mut transaction, self.generation, &[users]).await?;
        if checkpoints.get(&users).is_none_or(|checkpoint| checkpoint.epoch != epochs.of(users)) {
            return Ok(false);
        }
        if let Some(request) = request {
            if !requests::answer(&mut transaction, request, &reprocessed.outcome).await? {
                return Ok(false);
            }
            // A record that is no dead letter any more has had its effect.
            if !reprocessed.resolved.is_empty() {
                requests::discard(&mut transaction, request).await?;
            }
        }
        // Before any dead letter is locked: other deletions lock those of their users after the
        // same locks.
        let take_over = match self.mode {
            Mode::Live => self.erase_on(&mut transaction, &reprocessed.effects, invalidation).await?,
            Mode::Following => TakeOver::default(),
        };
        let Reprocessed { partition, resolved, remaining, .. } = reprocessed;
        self.update_letters(&mut transaction, *partition, resolved, remaining).await?;
        self.commit_erased(&mut transaction, &reprocessed.effects, epochs, take_over).await?;
        ownership::count_revision(&mut transaction, self.generation, users).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes resolved dead letters of a partition, and updates the reasons of the others.
    pub(super) async fn update_letters(
        &self,
        connection: &mut PgConnection,
        partition: i32,
        resolved: &[(Topic, i64)],
        remaining: &[Remaining],
    ) -> sqlx::Result<()> {
        let (topics, offsets): (Vec<_>, Vec<_>) =
            resolved.iter().map(|(topic, offset)| (topic.as_str(), *offset)).unzip();
        sqlx::query(self.sql.resolve.get())
            .bind(topics)
            .bind(offsets)
            .bind(partition)
            .execute(&mut *connection)
            .await?;
        sqlx::query(self.sql.update_reasons.get())
            .bind(remaining.iter().map(|(topic, ..)| topic.as_str()).collect::<Vec<_>>())
            .bind(remaining.iter().map(|(_, offset, _)| *offset).collect::<Vec<_>>())
            .bind(partition)
            .bind(remaining.iter().map(|(.., reason)| reason.code.as_str()).collect::<Vec<_>>())
            .bind(remaining.iter().map(|(.., reason)| reason.detail.as_deref()).collect::<Vec<_>>())
            .execute(connection)
            .await
            .map(drop)
    }
}

fn record((topic, partition, offset, key, value, headers, is_raw, time): Row) -> Option<StoredRecord> {
    let raw = Raw { key, value, headers: Raw::read_headers(headers, is_raw)? };
    Some(StoredRecord { partition: (Topic::named(&topic)?, partition), offset, time: time.map(millis), raw })
}
