//! The commit of a batch: everything or nothing.

use super::{
    Effects, InvalidationStatus, Mode, Span, Store,
    commit_rows::CommitRows,
    commit_statement::Shape,
    erase,
    ownership::{self, Epochs},
};
use crate::announcement;
use events_schema::{Partition, Topic};
use service_kit::failpoint;
use sqlx::PgExecutor;

impl Store {
    /// Commits a batch. Returns how many dead letters of `users.credentials` newer ones displaced.
    ///
    /// # Errors
    /// The commit failed, or its answer was lost: then it may have been committed all the same, and
    /// the checkpoints tell.
    pub async fn commit(
        &self,
        effects: &mut Effects,
        epochs: &Epochs,
        invalidation: InvalidationStatus,
    ) -> sqlx::Result<u64> {
        let is_one_statement = effects.tombstones.is_empty()
            && effects.late.is_empty()
            && effects.restored.is_empty()
            && effects.strays().is_empty();
        if self.mode == Mode::Live && is_one_statement {
            let mut connection = self.connections.take().await?;
            let displaced = self.commit_on(&mut *connection, effects, epochs).await?;
            connection.keep();
            return Ok(displaced);
        }
        let mut transaction = self.pool.begin().await?;
        // Checkpoints are locked before any other row, by everybody: this rules out deadlocks.
        let partitions: Vec<Partition> = effects.spans.keys().copied().collect();
        ownership::lock(&mut transaction, self.generation, &partitions).await?;
        match self.mode {
            Mode::Live => {
                erase::leave_out_deleted(&mut transaction, effects).await?;
                self.erase_on(&mut transaction, effects, invalidation).await?;
            }
            Mode::Following => self.forget_on(&mut transaction, effects).await?,
        }
        let displaced = self.commit_on(&mut *transaction, effects, epochs).await?;
        failpoint::hit("erase.committing");
        transaction.commit().await?;
        Ok(displaced)
    }

    /// Executes the statement that has all effects of a batch.
    pub(super) async fn commit_on(
        &self,
        executor: impl PgExecutor<'_>,
        effects: &Effects,
        epochs: &Epochs,
    ) -> sqlx::Result<u64> {
        let rows = CommitRows {
            generation: self.generation,
            announcements: self.announcements(effects),
            effects,
            epochs,
            secret: &self.secret,
        };
        let shape = Shape::of(effects);
        let statement = match shape {
            Shape::UsersOnly => &self.sql.commit_users_only,
            Shape::Full => &self.sql.commit_full,
        };
        let (displaced, ..): (i64, i64, i64) =
            rows.bind(shape, sqlx::query_as(statement.get())).fetch_one(executor).await?;
        Ok(u64::try_from(displaced).unwrap_or_default())
    }

    /// One announcement for each partition of `users.events` that a batch moves.
    fn announcements(&self, effects: &Effects) -> Vec<String> {
        if self.mode == Mode::Following {
            return Vec::new();
        }
        let users = effects.spans.iter().filter(|((topic, _), _)| *topic == Topic::Users);
        // A reprocessed queue moves no checkpoint.
        let moved = users.filter(|(_, span)| span.from < span.next);
        let announcement = |((_, partition), span): (&Partition, &Span)| {
            let rejected = effects.rejected(*partition).collect();
            let parked = effects.parked(*partition).collect();
            announcement::batch_committed(self.generation, *partition, span.from..span.next, rejected, parked)
        };
        moved.map(announcement).collect()
    }
}
