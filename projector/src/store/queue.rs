//! The dead letters of a user, as a queue: loaded to be folded again, and what came of that.

use super::{
    erase::Cached,
    postgres::{Announce, Store},
};
use crate::{
    control::{
        discarded::Place,
        requests::{Outcome, Request},
    },
    effects::{Effects, PARKED},
    fence::{self, Epochs},
};
use event_log::{raw::Raw, record::Record};
use events_schema::{Partition, Reason, Topic, millis};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Records that are folded again at once, at most.
const MAX_QUEUE: i64 = 2_000;

/// What a fold of the queue came to.
pub(crate) struct Settlement {
    /// The partition, of `users.events`.
    pub(crate) partition: i32,
    /// What changes. Its span says where the checkpoint stands, and moves nothing.
    pub(crate) effects: Effects,
    /// The dead letters that go.
    pub(crate) settled: Vec<(Topic, i64)>,
    /// Those that stay, with the reason.
    pub(crate) left: Vec<Left>,
    /// What the operator is told.
    pub(crate) outcome: Outcome,
}

type Row = (String, i32, i64, Option<Vec<u8>>, Option<Vec<u8>>, Value, bool, Option<OffsetDateTime>);

impl Store {
    /// The queue that the dead letter there is in, in the order of the log.
    ///
    /// # Errors
    /// Postgres can't be asked.
    pub(crate) async fn load_queue(&self, (of, offset): Place, partitions: u32) -> sqlx::Result<Vec<Record>> {
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(self.sql.load_queue.as_str()))
            .bind(of.0.as_str())
            .bind(of.1)
            .bind(offset)
            .bind(MAX_QUEUE)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().filter_map(|row| record(row, partitions)).collect())
    }

    /// Commits what a fold of the queue came to, with the answer to the request if there is one: everything or, where the partition is another's or
    /// the request was withdrawn, nothing.
    ///
    /// # Errors
    /// Where the answer was lost, it may have been committed all the same.
    pub(crate) async fn settle(
        &self,
        request: Option<&Request>,
        settlement: &Settlement,
        epochs: &Epochs,
        cached: Cached,
    ) -> sqlx::Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let users = (Topic::Users, settlement.partition);
        // First of all: whoever waits for rows holds the checkpoint, so nobody waits in a circle.
        let held = fence::lock(&mut transaction, self.generation, &[users]).await?;
        let is_ours = held.get(&users).is_some_and(|checkpoint| checkpoint.epoch == epochs.of(users));
        if !is_ours {
            return Ok(false);
        }
        if let Some(request) = request {
            if !answer(&mut transaction, request, &settlement.outcome).await? {
                return Ok(false);
            }
            // What is no dead letter any more has had its effect.
            if !settlement.settled.is_empty() {
                discard(&mut transaction, request).await?;
            }
        }
        // Before any letter is held: other deletions take the letters of their users after the same locks.
        if self.announce == Announce::Yes {
            self.erase_on(&mut transaction, &settlement.effects, cached).await?;
        }
        self.settle_letters(&mut transaction, settlement).await?;
        self.commit_on(&mut *transaction, &settlement.effects, epochs).await?;
        fence::turn(&mut transaction, self.generation, users).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn settle_letters(
        &self,
        connection: &mut PgConnection,
        settlement: &Settlement,
    ) -> sqlx::Result<()> {
        let (topics, offsets): (Vec<_>, Vec<_>) =
            settlement.settled.iter().map(|(topic, offset)| (topic.as_str(), *offset)).unzip();
        sqlx::query(AssertSqlSafe(self.sql.settle.as_str()))
            .bind(topics)
            .bind(offsets)
            .bind(settlement.partition)
            .execute(&mut *connection)
            .await?;
        sqlx::query(AssertSqlSafe(self.sql.reasons.as_str()))
            .bind(settlement.left.iter().map(|(topic, ..)| topic.as_str()).collect::<Vec<_>>())
            .bind(settlement.left.iter().map(|(_, offset, _)| *offset).collect::<Vec<_>>())
            .bind(settlement.partition)
            .bind(settlement.left.iter().map(|(.., reason)| reason.code.as_str()).collect::<Vec<_>>())
            .bind(settlement.left.iter().map(|(.., reason)| reason.detail.as_deref()).collect::<Vec<_>>())
            .execute(connection)
            .await
            .map(drop)
    }
}

fn record(row: Row, partitions: u32) -> Option<Record> {
    let (topic, partition, offset, key, value, headers, is_raw, time) = row;
    let partition: Partition = (Topic::named(&topic)?, partition);
    let raw = Raw { key, value, headers: Raw::read_headers(headers, is_raw)? };
    Some(Record::of(partition, offset, time.map(millis), raw, partitions))
}

/// Answers a request that is still open.
async fn answer(connection: &mut PgConnection, request: &Request, outcome: &Outcome) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE rollcall.requests SET outcome = $2, done_at = now() WHERE id = $1 AND outcome IS NULL",
    );
    let done = done.bind(request.id).bind(sqlx::types::Json(outcome)).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that a record is discarded, and whom it names: nobody, where its key is not one of a user.
async fn discard(connection: &mut PgConnection, request: &Request) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.discarded (log_epoch, topic, partition, log_offset, discarded_by, tenant_id, user_id, is_owner_known) \
         SELECT g.log_epoch, r.topic, r.partition, r.log_offset, r.asked_by, d.tenant_id, d.user_id, \
             coalesce(d.user_id IS NOT NULL OR position('\\x2f'::bytea IN coalesce(d.key, '')) = 0, false) \
         FROM rollcall.generations g, rollcall.requests r LEFT JOIN live.dead_letters d \
             ON d.topic = r.topic AND d.partition = r.partition AND d.log_offset = r.log_offset \
         WHERE r.id = $1 AND r.kind = 'discard' AND g.state = 'live' ON CONFLICT DO NOTHING",
    )
    .bind(request.id)
    .execute(connection)
    .await
    .map(drop)
}

/// A dead letter that stays, and why.
pub(crate) type Left = (Topic, i64, Reason);

/// Dead letters that are in the queue as they are sorted after a fold.
pub(crate) fn sort(queue: Vec<(Topic, i64)>, effects: &mut Effects) -> (Vec<(Topic, i64)>, Vec<Left>) {
    let stays: BTreeMap<(Topic, i64), Reason> = std::mem::take(&mut effects.dead_letters)
        .into_iter()
        .map(|row| ((row.partition.0, row.offset), row.reason))
        .collect();
    // They are in the tables as they should be.
    effects.rejections.retain(|row| row.reason != PARKED);
    let settled = queue.into_iter().filter(|place| !stays.contains_key(place)).collect();
    let left = stays.into_iter().map(|((topic, offset), reason)| (topic, offset, reason)).collect();
    (settled, left)
}
