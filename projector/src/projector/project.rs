//! One batch, from its records to its commit.

use super::{ANSWER, Projector, ownership::which_log};
use crate::{batch::Batch, dead_letters::parking_limit, load::load, metrics, state::End};
use event_log::identity::LogMatch;
use events_schema::ReasonCode;
use read_model::write::{
    Effects, Invalidation, Invalidations,
    fence::{CommitState, FENCED},
    invalidations, sql_error,
};
use service_kit::{database::answered, failpoint};
use std::{
    collections::BTreeMap,
    sync::PoisonError,
    time::{Duration, Instant},
};

impl Projector {
    /// Folds a batch and commits it: exactly once, whatever fails on the way.
    pub(super) async fn project(&mut self, batch: Batch) -> Result<(), End> {
        let started = Instant::now();
        let records = batch.len();
        let spare = self.is_one_by_one().then(|| batch.clone());
        let marks: Invalidations = invalidations(batch.marks());
        let load = self.stop.retry("loading states", async || load(&self.store, &batch).await);
        let which = which_log(&self.stop, &mut self.identity, &self.store);
        let (states, seen, which) = tokio::join!(load, self.cache.invalidate(&marks), which);
        let states = states?;
        match which? {
            LogMatch::Same => {}
            other => return self.not_ours(other).await,
        }
        failpoint::hit("fold.loaded");
        let mut effects = batch.fold(states);
        metrics::FOLD_SECONDS.observe(started.elapsed().as_secs_f64());
        if !self.may_be_parked(&effects).await? {
            return self.too_many(&effects);
        }
        let from = self.cache.leases.commit_from(seen.as_ref().map(|seen| seen.run.as_str()), Instant::now());
        if from > Instant::now() {
            self.stop.unless(tokio::time::sleep_until(from.into())).await?;
        }
        failpoint::hit("fold.marked");
        let committing = Instant::now();
        let invalidation = if seen.is_some() { Invalidation::Confirmed } else { Invalidation::Unknown };
        match self.commit(&mut effects, invalidation).await? {
            CommitState::Committed => {
                failpoint::hit("fold.committed");
                metrics::COMMIT_SECONDS.observe(committing.elapsed().as_secs_f64());
                self.committed(&effects, records);
                let is_left = self.request_vacuum(&effects) && self.store.keys.is_apart();
                self.cache.write(effects, seen.as_ref());
                if is_left { self.work_off().await } else { Ok(()) }
            }
            CommitState::NotCommitted => self.refused(effects, spare).await,
            CommitState::FencedOff => self.lost().await,
        }
    }

    /// Requests a vacuum if a committed batch erased somebody; whether it did.
    fn request_vacuum(&self, effects: &Effects) -> bool {
        let has_erased = !effects.tombstones.is_empty() || !effects.late.is_empty();
        if has_erased {
            self.vacuum.is_due();
        }
        has_erased
    }

    /// Postgres refuses the data of a batch and will do so again. Its records are read again and folded one by one; the one that is
    /// refused by itself is set aside.
    async fn refused(&mut self, effects: Effects, spare: Option<Batch>) -> Result<(), End> {
        if let Some(alone) = spare.and_then(|batch| batch.poisoned(ReasonCode::RefusedByDatabase)) {
            return Box::pin(self.project(alone)).await;
        }
        self.read_one_by_one(&effects);
        Ok(())
    }

    async fn may_be_parked(&self, effects: &Effects) -> Result<bool, End> {
        let pool = &self.store.pool;
        self.stop
            .retry("asking how many were parked", async || parking_limit::may_be_parked(pool, effects).await)
            .await
    }

    /// A batch would park more users than may be. As many as may be are parked all the same, one by one: so each resume gets on, however many
    /// there are in a batch.
    fn too_many(&mut self, effects: &Effects) -> Result<(), End> {
        if self.is_one_by_one() {
            return Err(End::TooManyParked);
        }
        self.read_one_by_one(effects);
        Ok(())
    }

    /// Reads the records of a batch again, to fold each by itself.
    fn read_one_by_one(&mut self, effects: &Effects) {
        let spans = effects.spans.iter().map(|(partition, span)| (*partition, span.next));
        self.one_by_one.extend(spans);
        self.own(BTreeMap::new());
        self.consumer.reassign();
    }

    /// Commits; where the answer is lost or an error, the checkpoints say what became of it.
    async fn commit(
        &mut self,
        effects: &mut Effects,
        invalidation: Invalidation,
    ) -> Result<CommitState, End> {
        let mut pause = Duration::from_millis(50);
        loop {
            failpoint::hit_soon("fold.committing");
            let commit = self.store.commit(effects, &self.epochs, invalidation);
            let error = match answered(ANSWER, commit).await {
                Ok(displaced) => {
                    metrics::DISPLACED.inc_by(displaced);
                    return Ok(CommitState::Committed);
                }
                Err(error) => error,
            };
            // Never the error's own text: it may repeat a row.
            metrics::FENCED.inc_by(u64::from(sql_error::code(&error) == FENCED));
            let reason = sql_error::reason(&error);
            tracing::warn!(reason, "a batch was not committed, or the answer was lost");
            let state = self.stop.retry("asking what became of a commit", async || {
                self.epochs.commit_state(&self.store.pool, self.store.generation, &effects.spans).await
            });
            match state.await? {
                CommitState::NotCommitted if sql_error::is_data_refused(&error) => {
                    return Ok(CommitState::NotCommitted);
                }
                CommitState::NotCommitted if sql_error::is_inconsistent(&error) => {
                    return Err(End::Inconsistent(reason));
                }
                CommitState::NotCommitted => self.stop.unless(tokio::time::sleep(pause)).await?,
                state @ (CommitState::Committed | CommitState::FencedOff) => return Ok(state),
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    fn committed(&mut self, effects: &Effects, records: usize) {
        let mut folded = self.shared.folded.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, span) in &effects.spans {
            self.owned.insert(*partition, span.next);
            folded.insert(*partition, span.next);
            if let Some(time) = span.time {
                self.times.insert(*partition, time.get());
            }
        }
        metrics::count(effects, records);
    }
}
