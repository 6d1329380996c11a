//! Step 4, commit: rows, checkpoint and announcement in one transaction, behind the fence.

use super::{DATABASE_TIMEOUT, Pipeline};
use crate::{metrics, stop::Interrupt};
use read_model::write::{
    Effects, InvalidationStatus,
    lease::ServerTime,
    ownership::{CommitState, FENCED},
    sql_error,
};
use service_kit::{database::answered, failpoint};
use std::time::{Duration, Instant};

/// The pause after the first failed attempt. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// What became of a batch's commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitOutcome {
    /// It took place.
    Committed,
    /// PostgreSQL refused the batch's data, and would do so again.
    Refused,
    /// Another process owns the partitions, or another generation is live.
    FencedOff,
}

impl Pipeline {
    /// The outcome of a commit that was begun before the checks. `None` if the batch is still to be
    /// committed.
    pub(super) async fn outcome_of(
        &self,
        commit: Option<sqlx::Result<u64>>,
        effects: &Effects,
    ) -> Result<Option<CommitOutcome>, Interrupt> {
        match commit {
            None => Ok(None),
            Some(Ok(displaced)) => {
                metrics::DISPLACED.inc_by(displaced);
                failpoint::hit("fold.committed");
                Ok(Some(CommitOutcome::Committed))
            }
            Some(Err(error)) => self.outcome_after(&error, effects).await,
        }
    }

    /// Commits the effects of a batch. `cache_time` is `Some` if Redis has confirmed the
    /// invalidations. Otherwise, and after a takeover, the commit waits until the last cache lease
    /// has expired.
    pub(super) async fn commit(
        &mut self,
        effects: &mut Effects,
        cache_time: Option<&ServerTime>,
    ) -> Result<CommitOutcome, Interrupt> {
        self.wait_for_leases(cache_time).await?;
        failpoint::hit("fold.marked");
        let started = Instant::now();
        let invalidation = InvalidationStatus::of(cache_time);
        let outcome = self.commit_until_known(effects, invalidation).await?;
        if outcome == CommitOutcome::Committed {
            failpoint::hit("fold.committed");
            metrics::COMMIT_SECONDS.observe(started.elapsed().as_secs_f64());
        }
        Ok(outcome)
    }

    async fn wait_for_leases(&self, cache_time: Option<&ServerTime>) -> Result<(), Interrupt> {
        let now = Instant::now();
        let from = self.cache.leases.commit_from(cache_time.map(|time| time.run.as_str()), now);
        if from > Instant::now() {
            self.stop.run_until_stopped(tokio::time::sleep_until(from.into())).await?;
        }
        Ok(())
    }

    /// Repeats the commit until it has taken place or can't. If an attempt fails or its answer is
    /// lost, the checkpoints tell what happened.
    async fn commit_until_known(
        &self,
        effects: &mut Effects,
        invalidation: InvalidationStatus,
    ) -> Result<CommitOutcome, Interrupt> {
        let mut pause = FIRST_PAUSE;
        loop {
            failpoint::hit_soon("fold.committing");
            let commit = self.store.commit(effects, &self.epochs, invalidation);
            let error = match answered(DATABASE_TIMEOUT, commit).await {
                Ok(displaced) => {
                    metrics::DISPLACED.inc_by(displaced);
                    return Ok(CommitOutcome::Committed);
                }
                Err(error) => error,
            };
            if let Some(outcome) = self.outcome_after(&error, effects).await? {
                return Ok(outcome);
            }
            self.stop.run_until_stopped(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// The outcome after a failed attempt. `None` if the commit should be tried again.
    async fn outcome_after(
        &self,
        error: &sqlx::Error,
        effects: &Effects,
    ) -> Result<Option<CommitOutcome>, Interrupt> {
        let is_fenced = sql_error::code(error) == FENCED;
        metrics::FENCED.inc_by(u64::from(is_fenced));
        // Every promotion and pause fences a commit off, so that is no reason to worry.
        if !is_fenced {
            // The reason never contains the error's own text, which may repeat a row.
            let reason = sql_error::reason(error);
            tracing::warn!(reason, "the commit of a batch failed, or its answer was lost");
        }
        let state = self.stop.retry("asking for the state of a commit", async || {
            self.epochs.commit_state(&self.store.pool, self.store.generation, &effects.spans).await
        });
        match state.await? {
            CommitState::NotCommitted => match Interrupt::by_commit_error(error) {
                Some(interrupt) => Err(interrupt),
                None => Ok(sql_error::is_data_refused(error).then_some(CommitOutcome::Refused)),
            },
            CommitState::Committed => Ok(Some(CommitOutcome::Committed)),
            CommitState::FencedOff => Ok(Some(CommitOutcome::FencedOff)),
        }
    }
}
