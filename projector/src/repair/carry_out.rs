//! Carrying a repair out, in the steps of the pipeline: compare, invalidate, commit, publish.

use super::{Repair, UserFold, report::Reading};
use crate::{
    pipeline::DATABASE_TIMEOUT,
    stop::{Interrupt, StopSignal},
};
use events_schema::Topic;
use read_model::{
    operate::repairs::{self, RepairRequest},
    write::{
        Cache, Comparison, InvalidationStatus, RepairedUser, Store, lease::ServerTime, ownership::Epochs,
        sql_error,
    },
};
use service_kit::database::answered;
use std::time::Instant;

/// What a repair needs of the pipeline.
pub(crate) struct Repairer<'p> {
    pub(crate) store: &'p Store,
    pub(crate) epochs: &'p Epochs,
    pub(crate) cache: &'p mut Cache,
    pub(crate) stop: &'p StopSignal,
}

impl Repairer<'_> {
    /// Repairs a user that is folded exactly up to the owned offsets, and answers the request.
    /// `Ok(false)`: the partition has another owner, or the request was withdrawn.
    pub(crate) async fn repair(
        self,
        request: &RepairRequest,
        fold: UserFold,
    ) -> Result<anyhow::Result<bool>, Interrupt> {
        let reading = Reading::of(&fold);
        let mut user = fold.finish();
        let comparison = match self.compare(&user).await? {
            Ok(comparison) => comparison,
            Err(error) => {
                // Nothing has changed, so there is no reason to ask the checkpoints.
                tracing::warn!(error, "comparing a user with the log failed, retrying");
                return Ok(Ok(true));
            }
        };
        let mut report = reading.report(&user, &comparison);
        if report.refused.is_some() || report.differences.is_empty() {
            return self.answer(request, &report).await;
        }
        let version = user.version().max(comparison.highest_version);
        let cache_time = self.cache.invalidate_same(user.partition, &user.key, version).await;
        if cache_time.is_none() && comparison.highest_version > user.version() {
            let refused = "Redis does not answer, and may hold a newer version of this user than the log: repeat this when it answers";
            report.refused = Some(refused.to_owned());
            return self.answer(request, &report).await;
        }
        report.repaired = true;
        match self.commit(request, &report, &mut user, &comparison, cache_time.as_ref()).await? {
            Ok(true) => {
                let at = user.effects.spans.get(&(Topic::Users, user.partition));
                let next = at.map(|span| span.next).unwrap_or_default();
                self.cache.publish_revision(user.effects, user.partition, next, cache_time.as_ref());
                Ok(Ok(true))
            }
            Ok(false) => Ok(Ok(false)),
            Err(error) if sql_error::is_data_refused(&error) => {
                report.repaired = false;
                report.refused =
                    Some(format!("PostgreSQL refuses the user's data ({})", sql_error::reason(&error)));
                self.answer(request, &report).await
            }
            Err(error) => Interrupt::by_commit_error(&error)
                .map_or_else(|| Ok(Err(anyhow::anyhow!(sql_error::reason(&error)))), Err),
        }
    }

    async fn compare(&self, user: &RepairedUser) -> Result<Result<Comparison, String>, Interrupt> {
        let compare = async {
            let cached = self.cache.peek(user.partition, &user.key).await;
            let mut connection = self.store.pool.acquire().await?;
            self.store.compare(&mut connection, user, cached.as_ref()).await
        };
        let compared = self.stop.run_until_stopped(answered(DATABASE_TIMEOUT, compare)).await?;
        // The error's own text may repeat a row.
        Ok(compared.map_err(|error| sql_error::reason(&error)))
    }

    async fn answer(
        &self,
        request: &RepairRequest,
        report: &Repair,
    ) -> Result<anyhow::Result<bool>, Interrupt> {
        let answer = async {
            let mut connection = self.store.pool.acquire().await?;
            repairs::answer(&mut connection, request.id, report).await
        };
        // The same holds for a request that was withdrawn.
        let answered = self.stop.run_until_stopped(answered(DATABASE_TIMEOUT, answer)).await?;
        Ok(answered.map(|_| true).map_err(anyhow::Error::from))
    }

    async fn commit(
        &self,
        request: &RepairRequest,
        report: &Repair,
        user: &mut RepairedUser,
        comparison: &Comparison,
        cache_time: Option<&ServerTime>,
    ) -> Result<sqlx::Result<bool>, Interrupt> {
        let from = self.cache.leases.commit_from(cache_time.map(|time| time.run.as_str()), Instant::now());
        self.stop.run_until_stopped(tokio::time::sleep_until(from.into())).await?;
        let invalidation = InvalidationStatus::of(cache_time);
        let commit = self.store.commit_repaired(request, report, user, comparison, self.epochs, invalidation);
        Ok(answered(DATABASE_TIMEOUT, commit).await)
    }
}
