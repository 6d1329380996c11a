//! Steps 2 and 3, load and fold, with the start of step 4, and meanwhile the two checks that a
//! commit waits for: Kafka answers that the records are of the log that was folded so far, and
//! Redis confirms that the cached bodies of the batch's users are invalidated.

use super::{
    Batch, DATABASE_TIMEOUT, Pipeline, RememberedUsers, assignment::compare_log, fold, load::load_others,
    parking_limit,
};
use crate::{
    metrics,
    stop::{Interrupt, StopSignal},
};
use event_log::identity::LogMatch;
use futures_util::FutureExt as _;
use read_model::write::{
    Effects, Store, VersionsToInvalidate, lease::ServerTime, ownership::Epochs, versions_to_invalidate,
};
use service_kit::{database::answered, failpoint};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a transaction may stay open for the checks. They usually take a millisecond. If one
/// takes longer, the batch is committed after it, in another transaction.
const MAX_OPEN: Duration = Duration::from_secs(1);

/// A folded batch whose records are of the log that was folded so far.
pub(super) struct Prepared {
    pub(super) effects: Effects,
    /// Redis' time, if Redis has confirmed the invalidations.
    pub(super) cache_time: Option<ServerTime>,
    /// The result of the commit that was begun before the checks. `None`: none was, or a check did
    /// not allow it.
    pub(super) commit: Option<sqlx::Result<u64>>,
}

impl Pipeline {
    /// Loads, folds and checks a batch. If its effects take one statement and park nobody, they are
    /// also written, and committed once the checks allow it.
    pub(super) async fn prepare(&mut self, batch: Batch) -> Result<Prepared, Interrupt> {
        let versions: VersionsToInvalidate = versions_to_invalidate(batch.highest_versions());
        let (verdict, allowed) = oneshot::channel();
        let Self { stop, store, cache, identity, epochs, remembered, .. } = self;
        let checks = async {
            let log = compare_log(stop, identity, store);
            let (cache_time, log) = tokio::join!(cache.invalidate(&versions), log);
            let now = Instant::now();
            let is_due = |time: &ServerTime| cache.leases.commit_from(Some(&time.run), now) <= now;
            let is_allowed = matches!(log, Ok(LogMatch::Same)) && cache_time.as_ref().is_some_and(is_due);
            let _ = verdict.send(is_allowed);
            (cache_time, log)
        };
        let fold = async {
            let effects = load_and_fold(stop, store, remembered, batch).await?;
            let commit = commit_when(store, epochs, &effects, allowed).await;
            Ok::<_, Interrupt>((effects, commit))
        };
        let ((cache_time, log), folded) = tokio::join!(checks, fold);
        let (effects, commit) = folded?;
        match log? {
            LogMatch::Same => Ok(Prepared { effects, cache_time, commit }),
            other => Err(self.reject_log(other).await),
        }
    }
}

async fn load_and_fold(
    stop: &StopSignal,
    store: &Store,
    remembered: &RememberedUsers,
    batch: Batch,
) -> Result<Effects, Interrupt> {
    let started = Instant::now();
    let known = remembered.states(&batch);
    let load = async || load_others(store, &batch, known.clone()).boxed_local().await;
    let states = stop.retry("loading states", load).await?;
    failpoint::hit("fold.loaded");
    let effects = fold(batch, states);
    metrics::FOLD_SECONDS.observe(started.elapsed().as_secs_f64());
    Ok(effects)
}

/// Commits the effects if they fit, once `allowed` says so.
async fn commit_when(
    store: &Store,
    epochs: &Epochs,
    effects: &Effects,
    allowed: oneshot::Receiver<bool>,
) -> Option<sqlx::Result<u64>> {
    if !store.takes_one_statement(effects) || parking_limit::applies(effects) {
        return None;
    }
    let started = Instant::now();
    let is_allowed = async {
        let verdict = tokio::time::timeout(MAX_OPEN, allowed).await;
        let is_allowed = verdict.is_ok_and(|verdict| verdict.unwrap_or(false));
        if is_allowed {
            failpoint::hit("fold.marked");
            failpoint::hit_soon("fold.committing");
        }
        is_allowed
    };
    let commit = answered(DATABASE_TIMEOUT, store.commit_when(effects, epochs, is_allowed)).await;
    if matches!(commit, Ok(Some(_))) {
        metrics::COMMIT_SECONDS.observe(started.elapsed().as_secs_f64());
    }
    commit.transpose()
}
