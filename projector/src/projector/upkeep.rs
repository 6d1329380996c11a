//! What is done between batches: leases, what operators ask for, what erasures leave, and the cache where it is behind.

use super::{ANSWER, Projector};
use crate::{
    catch_up::announcements,
    dead_letters::reprocess::{self, Hands, Standing},
    erasures, metrics,
    state::End,
};
use events_schema::Topic;
use read_model::{
    operate::requests::{self, Request},
    write::Invalidations,
};
use service_kit::database::answered;
use std::{
    collections::BTreeMap,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};
use time::OffsetDateTime;

impl Projector {
    /// Proves that the partitions are still ours, and renews their leases on that ground.
    pub(super) async fn renew(&mut self) -> Result<(), End> {
        self.show_lag();
        self.look_at_log().await?;
        let seen = self.cache.invalidate(&Invalidations::new()).await;
        let (generation, standings) = (self.store.generation, self.standings());
        let check = self.epochs.check(&self.store.pool, generation, &self.owned, &standings);
        match self.stop.unless(answered(ANSWER, check)).await? {
            Ok(held) if held.is_paused => return Err(End::Paused),
            Ok(held) if held.are_ours && !held.are_in_place => self.restored(),
            Ok(held) if held.are_ours => {
                self.cache.renew(&self.positions(), seen.as_ref()).await;
                if held.has_requests {
                    self.settle_requests().await?;
                }
                if held.has_erasures {
                    self.work_off().await?;
                } else {
                    // Another instance may have done the last of it.
                    metrics::ERASURES_PENDING.set(0);
                }
                self.vacuum.when_due(&self.store.pool, &self.store.keys);
            }
            Ok(_) => self.lost().await?,
            Err(error) => tracing::warn!(
                error = service_kit::errors::describe_error(&error),
                "the fence can't be checked; leases are not renewed"
            ),
        }
        Ok(())
    }

    /// Does what is left of erasures. Where it can't be done now it is tried again with the next renewal.
    pub(super) async fn work_off(&mut self) -> Result<(), End> {
        let owned = self.positions().into_keys().collect();
        let work = erasures::work_off(&self.store, &mut self.cache, &owned, self.partitions);
        match self.stop.unless(work).await? {
            Ok(left) => {
                metrics::ERASURES_PENDING.set(left);
                self.vacuum.is_due();
            }
            Err(error) => {
                tracing::warn!(
                    error = service_kit::errors::describe_error(error.as_ref()),
                    "an erasure is not done yet"
                )
            }
        }
        Ok(())
    }

    /// Does what operators ask for with the dead letters of our partitions.
    async fn settle_requests(&mut self) -> Result<(), End> {
        let pool = &self.store.pool;
        let open = self.stop.unless(answered(ANSWER, requests::open(pool, self.owned.keys()))).await?;
        for request in open.unwrap_or_default() {
            if !self.settle(&request).await? {
                // It may have been committed all the same: the checkpoints say, and with them at which turn the cache stands.
                self.own(BTreeMap::new());
                self.consumer.reassign();
                break;
            }
        }
        Ok(())
    }

    async fn settle(&mut self, request: &Request) -> Result<bool, End> {
        let Some(at) = self.owned.get(&(Topic::Users, request.partition)).copied() else { return Ok(true) };
        let standing = Standing { partition: request.partition, at, partitions: self.partitions };
        let hands =
            Hands { store: &self.store, epochs: &self.epochs, cache: &mut self.cache, stop: &self.stop };
        match reprocess::reprocess(hands, request, standing).await? {
            Ok(is_settled) => Ok(is_settled),
            Err(error) => {
                tracing::warn!(
                    error = service_kit::errors::describe_error(error.as_ref()),
                    "a request about dead letters was not done yet"
                );
                Ok(false)
            }
        }
    }

    pub(super) async fn catch_up(&mut self) -> Result<(), End> {
        let positions = self.positions();
        if let Err(error) = self.cache.catch_up(&self.store, &positions).await {
            tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "the cache can't be written again yet"
            );
            self.stop.unless(tokio::time::sleep(Duration::from_millis(200))).await?;
        }
        Ok(())
    }

    /// Up to where each of our partitions of `users.events` is folded.
    fn positions(&self) -> BTreeMap<i32, i64> {
        let users = self.owned.iter().filter(|((topic, _), _)| *topic == Topic::Users);
        users.map(|((_, partition), next)| (*partition, *next)).collect()
    }

    /// What is announced of our partitions: where they stand, and where their logs end.
    fn standings(&self) -> Vec<String> {
        if !self.shared.is_up.load(Ordering::Relaxed) {
            // What the log has got meanwhile is not known.
            return Vec::new();
        }
        let ends = self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner);
        announcements(self.store.generation, &self.owned, &ends)
    }

    fn show_lag(&self) {
        let now = OffsetDateTime::now_utc();
        let ends = self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, next) in &self.owned {
            let records = ends.get(partition).map_or(0, |end| (end - next).max(0));
            metrics::show_lag(*partition, records, self.times.get(partition).copied());
            metrics::show_open(*partition, open.waiting(*partition, now));
        }
        for ((topic, partition), transaction) in open.newly_long(now) {
            tracing::warn!(
                topic = topic.as_str(),
                partition,
                "{transaction}: what lies behind it is folded once its producer commits or aborts it, or Kafka aborts it"
            );
        }
    }
}
