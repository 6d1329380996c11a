//! The commit of a batch: everything or nothing.

use super::{
    Effects, InvalidationStatus, Mode, Span, Store,
    commit_rows::CommitRows,
    commit_statement::Shape,
    erase::{self, TakeOver},
    ownership::{self, Epochs},
};
use crate::announcement;
use events_schema::{Partition, Topic};
use service_kit::failpoint;
use sqlx::{Connection as _, PgConnection, PgExecutor};
use std::future::Future;

/// Begins the transaction of [`Store::commit_when`]. A process that freezes in it must not keep
/// the checkpoints locked: PostgreSQL ends its session.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '2s'";

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
        if self.takes_one_statement(effects) {
            let commit =
                async |connection: &mut PgConnection| self.commit_on(connection, effects, epochs).await;
            return self.connections.run(commit).await;
        }
        let mut transaction = self.pool.begin().await?;
        // Checkpoints are locked before any other row, by everybody: this rules out deadlocks.
        let partitions: Vec<Partition> = effects.spans.keys().copied().collect();
        ownership::lock(&mut transaction, self.generation, &partitions).await?;
        let take_over = match self.mode {
            Mode::Live => {
                erase::leave_out_deleted(&mut transaction, effects).await?;
                self.erase_on(&mut transaction, effects, invalidation).await?
            }
            Mode::Following => self.forget_on(&mut transaction, effects).await?,
        };
        let displaced = self.commit_erased(&mut transaction, effects, epochs, take_over).await?;
        failpoint::hit("erase.committing");
        transaction.commit().await?;
        Ok(displaced)
    }

    /// Commits a batch that [takes one statement](Self::takes_one_statement) as soon as
    /// `may_commit` resolves to true. Its rows are written meanwhile. Nobody sees them before the
    /// commit, and the checkpoints stay locked until then, so the fence that the statement has
    /// checked still holds. Returns `None`, and nothing has an effect, if `may_commit` resolves to
    /// false.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_when(
        &self,
        effects: &Effects,
        epochs: &Epochs,
        may_commit: impl Future<Output = bool>,
    ) -> sqlx::Result<Option<u64>> {
        let mut connection = self.connections.take().await?;
        let mut transaction = connection.begin_with(BEGIN).await?;
        let displaced = self.commit_on(&mut *transaction, effects, epochs).await?;
        let may_commit = may_commit.await;
        if may_commit {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        connection.keep();
        Ok(may_commit.then_some(displaced))
    }

    /// Whether one statement has all effects of a batch.
    pub fn takes_one_statement(&self, effects: &Effects) -> bool {
        self.mode == Mode::Live
            && effects.tombstones.is_empty()
            && effects.late.is_empty()
            && effects.restored.is_empty()
            && effects.strays().is_empty()
    }

    /// Executes the statement that has all effects of a batch, in the transaction of its erasures,
    /// and has deletions taken over by the generations that have parked their users.
    pub(super) async fn commit_erased(
        &self,
        connection: &mut PgConnection,
        effects: &Effects,
        epochs: &Epochs,
        take_over: TakeOver,
    ) -> sqlx::Result<u64> {
        let displaced = self.commit_on(&mut *connection, effects, epochs).await?;
        take_over.carry_out(connection).await?;
        Ok(displaced)
    }

    /// Executes the statement that has all effects of a batch.
    async fn commit_on(
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
