//! Repairing one user: everything that is stored of the user is replaced by what the log says, in one
//! transaction behind the fence. The checkpoint does not move; its revision counts the change.

mod compare;
mod outcomes;

pub use compare::Comparison;

use super::{
    Effects, InvalidationStatus, Remaining, Store,
    ownership::{self, Epochs},
};
use crate::{
    generation::statement,
    operate::repairs::{self, Repair, RepairRequest},
};
use events_schema::{Partition, Topic, UserKey};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Deletes what is stored of a user: `$1`, `$2`. Postings are found by the terms of the log, `$3`, and of
/// the row, at the times of either, because no index leads from a user to its postings.
const CLEAR: &str = "\
WITH gone AS (DELETE FROM {g}.users WHERE tenant_id = $1 AND id = $2 RETURNING created_at, terms), \
    terms AS (SELECT unnest($3::text::bigint[]) AS term UNION SELECT unnest(terms) FROM gone), \
    times AS (SELECT $4::timestamptz AS at WHERE $4 IS NOT NULL UNION SELECT created_at FROM gone), \
    wanted AS MATERIALIZED (SELECT term, at FROM terms, times), \
    postings AS (DELETE FROM {g}.postings p USING wanted w \
        WHERE p.term = ANY (ARRAY[w.term]) AND p.created_at = w.at AND p.user_id = $2), \
    credentials AS (DELETE FROM {g}.credentials WHERE tenant_id = $1 AND user_id = $2), \
    tombstones AS (DELETE FROM {g}.tombstones WHERE tenant_id = $1 AND id = $2) \
DELETE FROM {g}.rejections WHERE partition = $5 AND log_offset = ANY ($6)";

/// A user as the log has it.
pub struct RepairedUser {
    /// The user.
    pub key: UserKey,
    /// The user's partition.
    pub partition: i32,
    /// The rows. The spans name both checkpoints of the partition and don't move them.
    pub effects: Effects,
    /// The offsets of all records of the user in `users.events`.
    pub offsets: Vec<i64>,
    /// The records of the user that can't be folded.
    pub set_aside: Vec<Remaining>,
}

impl RepairedUser {
    /// The version of the user or of the deletion, or 0.
    pub fn version(&self) -> u64 {
        let user = self.effects.users.first().map(|row| row.version);
        user.or(self.effects.tombstones.first().map(|row| row.version)).unwrap_or_default()
    }

    /// Whether the user was deleted.
    pub fn is_deleted(&self) -> bool {
        !self.effects.tombstones.is_empty()
    }
}

impl Store {
    /// The next offsets to fold of both topics, in one partition.
    ///
    /// # Errors
    /// The query failed.
    pub async fn next_offsets(
        &self,
        connection: &mut PgConnection,
        partition: i32,
    ) -> sqlx::Result<BTreeMap<Partition, i64>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT topic, next_offset FROM rollcall.checkpoints WHERE generation = $1 AND partition = $2",
        )
        .bind(self.generation)
        .bind(partition)
        .fetch_all(connection)
        .await?;
        let next = |(topic, next): (String, _)| Some(((Topic::named(&topic)?, partition), next));
        Ok(rows.into_iter().filter_map(next).collect())
    }

    /// Replaces everything about a user and answers the request. Returns `false`, with no effect, if the
    /// partition has another owner or the request was withdrawn.
    ///
    /// # Errors
    /// The commit failed, or its answer was lost: then it may have been committed all the same.
    pub async fn commit_repaired(
        &self,
        request: &RepairRequest,
        report: &Repair,
        user: &mut RepairedUser,
        comparison: &Comparison,
        epochs: &Epochs,
        invalidation: InvalidationStatus,
    ) -> sqlx::Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let partitions: Vec<Partition> = user.effects.spans.keys().copied().collect();
        // The checkpoints are locked before any other row, by everybody: this rules out deadlocks.
        let checkpoints = ownership::lock(&mut transaction, self.generation, &partitions).await?;
        let is_ours = checkpoints.iter().all(|(partition, found)| found.epoch == epochs.of(*partition));
        if !is_ours || !repairs::answer(&mut transaction, request.id, report).await? {
            return Ok(false);
        }
        let take_over = self.erase_on(&mut transaction, &user.effects, invalidation).await?;
        self.clear(&mut transaction, user, &comparison.outcomes).await?;
        let Comparison { resolved, remaining, .. } = comparison;
        self.update_letters(&mut transaction, user.partition, resolved, remaining).await?;
        // The others are right and stay.
        user.effects.rejections.retain(|row| comparison.outcomes.contains(&row.at.1));
        self.commit_erased(&mut transaction, &user.effects, epochs, take_over).await?;
        ownership::count_revision(&mut transaction, self.generation, (Topic::Users, user.partition)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn clear(
        &self,
        connection: &mut PgConnection,
        user: &RepairedUser,
        outcomes: &[i64],
    ) -> sqlx::Result<()> {
        let row = user.effects.users.first();
        sqlx::query(statement(CLEAR, self.generation))
            .bind(user.key.tenant.as_str())
            .bind(user.key.user)
            .bind(self.terms(row))
            .bind(row.and_then(|row| row.created_at).map(events_schema::Timestamp::get))
            .bind(user.partition)
            .bind(outcomes)
            .execute(connection)
            .await
            .map(drop)
    }
}
