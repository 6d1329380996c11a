//! Which partitions this process owns, and from where they are read. Before anything is folded, the
//! log in Kafka is compared with the one that was folded.

mod ends;

use self::ends::check_ends;
use super::{Discarded, Pipeline};
use crate::stop::{Interrupt, StopSignal};
use event_log::{
    identity::{LogIdentity, LogMatch, log_replaced},
    log_ends::Ends,
};
use events_schema::{Partition, Topic};
use key_store::Keys;
use read_model::write::{Store, ownership::Taken};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long Kafka may take to say which log it has, if nothing depends on the answer.
const IDENTITY_TIMEOUT: Duration = Duration::from_millis(300);

impl Pipeline {
    /// Takes partitions over, and replies with the offsets to read from.
    pub(crate) async fn assign_partitions(
        &mut self,
        partitions: BTreeMap<Partition, Ends>,
        reply: oneshot::Sender<BTreeMap<Partition, i64>>,
    ) -> Result<(), Interrupt> {
        // Another generation may have become live while nothing was assigned.
        self.follow_live_generation().await?;
        let taken = self.take_over(partitions.keys().copied().collect()).await?;
        if taken.had_another_owner {
            self.cache.leases.taken_over(Instant::now());
        }
        let offsets: BTreeMap<Partition, i64> =
            taken.checkpoints.iter().map(|(partition, found)| (*partition, found.next_offset)).collect();
        self.check_log().await?;
        check_ends(&offsets, &partitions)?;
        self.cache.taken_over(taken.checkpoints.iter().filter_map(|((topic, partition), checkpoint)| {
            (*topic == Topic::Users).then_some((*partition, checkpoint.revision))
        }));
        self.load_discarded(&offsets).await?;
        self.begin_catch_up(&partitions, &offsets);
        self.set_owned(offsets.clone());
        let _ = reply.send(offsets);
        Ok(())
    }

    /// Forgets all partitions. The fence stays as it is until another process takes them over.
    pub(crate) fn revoke_partitions(&mut self) {
        self.set_owned(BTreeMap::new());
    }

    /// Takes the partitions over in the live generation, if the log is the one it is folded from.
    async fn take_over(&mut self, partitions: Vec<Partition>) -> Result<Taken, Interrupt> {
        let (stop, store, epochs, identity) = (&self.stop, &self.store, &mut self.epochs, &mut self.identity);
        let taken = stop.retry("taking partitions over", async || {
            // Partitions that were added to the topic have no checkpoint.
            match identity.compare(&store.pool, store.generation).await? {
                LogMatch::Same => {
                    Ok(Ok(epochs.take_over(&store.pool, store.generation, &partitions, true).await?))
                }
                other => anyhow::Ok(Err(other)),
            }
        });
        match taken.await? {
            Ok(taken) if taken.is_paused => Err(Interrupt::Paused),
            Ok(taken) => Ok(taken),
            Err(other) => Err(self.reject_log(other).await),
        }
    }

    async fn load_discarded(&mut self, offsets: &BTreeMap<Partition, i64>) -> Result<(), Interrupt> {
        let (pool, generation) = (&self.store.pool, self.store.generation);
        self.discarded = self
            .stop
            .retry("loading discarded records", async || Discarded::load(pool, generation, offsets).await)
            .await?;
        Ok(())
    }

    fn begin_catch_up(&self, partitions: &BTreeMap<Partition, Ends>, offsets: &BTreeMap<Partition, i64>) {
        self.consumer.catch_up.begin(partitions, offsets);
        let ends = partitions.iter().map(|(partition, ends)| (*partition, ends.high));
        self.consumer.ends().extend(ends);
        tracing::info!(
            partitions = partitions.len(),
            generation = self.store.generation,
            "partitions taken over"
        );
    }

    /// The fence rejected this process. Either another generation is live, which then takes the
    /// partitions over, or another instance has them, and the group says which ones are ours.
    pub(crate) async fn handle_fenced_off(&mut self) -> Result<(), Interrupt> {
        self.revoke_partitions();
        if self.follow_live_generation().await? {
            self.consumer.reassign();
        } else {
            tracing::warn!("another instance took the partitions over, joining the group again");
            self.consumer.rejoin();
        }
        Ok(())
    }

    /// A checkpoint is not where this process has put it, though nobody else owns the partition:
    /// PostgreSQL was restored from a backup. Folding continues from the restored checkpoints.
    pub(crate) fn handle_restored(&mut self) {
        tracing::warn!(
            "PostgreSQL was restored: the checkpoints are not where this projector has put them; folding from there"
        );
        self.revoke_partitions();
        self.consumer.reassign();
    }

    /// Gives the partitions up because the log is not that of our generation. If another generation
    /// is live now, it may be folded from this log. Otherwise an operator must decide.
    pub(super) async fn reject_log(&mut self, found: LogMatch) -> Interrupt {
        self.revoke_partitions();
        match (self.follow_live_generation().await, found) {
            (Err(interrupt), _) => interrupt,
            // It may have another number of partitions, so everything starts again.
            (Ok(true), _) => Interrupt::LogReplaced,
            (Ok(false), found) => found.require_same().err().unwrap_or_else(log_replaced).into(),
        }
    }

    /// Switches to the live generation. Returns whether that is another one than before.
    ///
    /// The store is opened anew in any case: a read model that was made anew has other secrets.
    async fn follow_live_generation(&mut self) -> Result<bool, Interrupt> {
        let Store { pool, keys, generation, .. } = self.store.clone();
        self.store = open_live(&self.stop, &pool, &keys).await?;
        let live = self.store.generation;
        if live == generation {
            return Ok(false);
        }
        tracing::info!(generation = live, "another generation is live");
        self.epochs.clear();
        self.cache.switch(live);
        Ok(true)
    }

    async fn check_log(&mut self) -> Result<(), Interrupt> {
        match compare_log(&self.stop, &mut self.identity, &self.store).await? {
            LogMatch::Same => Ok(()),
            other => Err(self.reject_log(other).await),
        }
    }

    /// Detects another log even if no records arrive. If Kafka does not answer soon, the check is
    /// left to the next batch, which waits for the answer.
    pub(crate) async fn check_idle_log(&mut self) -> Result<(), Interrupt> {
        if self.owned.is_empty() || !self.consumer.is_connected.load(Ordering::Relaxed) {
            return Ok(());
        }
        let found = self.identity.compare(&self.store.pool, self.store.generation);
        match self.stop.run_until_stopped(tokio::time::timeout(IDENTITY_TIMEOUT, found)).await? {
            Ok(Ok(LogMatch::Same) | Err(_)) | Err(_) => Ok(()),
            Ok(Ok(other)) => Err(self.reject_log(other).await),
        }
    }
}

/// Compares the log in Kafka with the one that was folded. Waits for Kafka's answer: until then,
/// nothing that was read has an effect.
pub(super) async fn compare_log(
    stop: &StopSignal,
    identity: &mut LogIdentity,
    store: &Store,
) -> Result<LogMatch, Interrupt> {
    stop.retry("checking the identity of the log", async || {
        identity.compare(&store.pool, store.generation).await
    })
    .await
}

/// The store of the live generation.
pub(crate) async fn open_live(stop: &StopSignal, pool: &PgPool, keys: &Keys) -> Result<Store, Interrupt> {
    stop.retry("opening the live generation", async || Store::live(pool.clone(), keys.clone()).await).await
}
