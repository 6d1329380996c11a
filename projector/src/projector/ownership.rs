//! Whose the partitions are: taken over, lost, and of which log and generation.

use super::{Projector, supervise::live};
use crate::{
    dead_letters::discarded::Discarded,
    metrics,
    state::{End, Stop},
};
use event_log::{
    Halt,
    identity::{self, LogIdentity, LogMatch},
    log_ends::Ends,
};
use events_schema::{Partition, Topic};
use read_model::write::{Mode, Store};
use std::{
    collections::BTreeMap,
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// For Kafka to say which log is there, where that is only asked so that another one is noticed soon.
const LOOK: Duration = Duration::from_millis(300);

impl Projector {
    pub(super) async fn assigned(
        &mut self,
        partitions: BTreeMap<Partition, Ends>,
        reply: oneshot::Sender<BTreeMap<Partition, i64>>,
    ) -> Result<(), End> {
        // It may have changed while nothing was ours.
        self.follow_live().await?;
        let numbers: Vec<_> = partitions.keys().copied().collect();
        let (stop, store, epochs, identity) = (&self.stop, &self.store, &mut self.epochs, &mut self.identity);
        let taken = stop.retry("taking partitions over", async || {
            // Partitions that came later have no checkpoint.
            match identity.compare(&store.pool, store.generation).await? {
                LogMatch::Same => {
                    Ok(Ok(epochs.take_over(&store.pool, store.generation, &numbers, true).await?))
                }
                other => anyhow::Ok(Err(other)),
            }
        });
        let taken = match taken.await? {
            Ok(taken) => taken,
            Err(which) => return self.not_ours(which).await,
        };
        if taken.is_paused {
            return Err(End::Paused);
        }
        if taken.had_another_owner {
            self.cache.leases.taken_over(Instant::now());
        }
        let offsets: BTreeMap<_, _> = taken
            .checkpoints
            .iter()
            .map(|(partition, checkpoint)| (*partition, checkpoint.next_offset))
            .collect();
        match which_log(&self.stop, &mut self.identity, &self.store).await? {
            LogMatch::Same => {}
            other => return self.not_ours(other).await,
        }
        check_ends(&offsets, &partitions)?;
        self.cache.taken_over(taken.checkpoints.iter().filter_map(|((topic, partition), checkpoint)| {
            (*topic == Topic::Users).then_some((*partition, checkpoint.revision))
        }));
        let (pool, generation) = (&self.store.pool, self.store.generation);
        self.discarded = stop
            .retry("asking for discarded records", async || Discarded::load(pool, generation, &offsets).await)
            .await?;
        self.shared.catch_up.begin(&partitions, &offsets);
        let ends = partitions.iter().map(|(partition, ends)| (*partition, ends.high));
        self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(ends);
        tracing::info!(
            partitions = numbers.len(),
            generation = self.store.generation,
            "partitions taken over"
        );
        self.own(offsets.clone());
        let _ = reply.send(offsets);
        self.renew().await
    }

    pub(super) fn own(&mut self, offsets: BTreeMap<Partition, i64>) {
        self.owned
            .keys()
            .filter(|partition| !offsets.contains_key(partition))
            .copied()
            .for_each(metrics::hide);
        self.shared.folded.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&offsets);
        self.owned = offsets;
    }

    /// The partitions are another's: of another generation, then they are taken over there; or of another instance, then the group
    /// says which are ours.
    pub(super) async fn lost(&mut self) -> Result<(), End> {
        self.own(BTreeMap::new());
        if self.follow_live().await? {
            self.consumer.reassign();
        } else {
            tracing::warn!("partitions were taken over by another instance; joining the group again");
            self.consumer.rejoin();
        }
        Ok(())
    }

    /// The read model does not stand where we have folded it to, and nobody else has been there: PostgreSQL was restored under us. The
    /// partitions are taken over anew, from where they stand now to where their logs end now.
    pub(super) fn restored(&mut self) {
        tracing::warn!(
            "the read model is not where this projector has folded it to: PostgreSQL was restored; folding from there"
        );
        self.own(BTreeMap::new());
        self.consumer.reassign();
    }

    /// The log is not that of our generation: another generation may be of it, else a person must say what is to become of it.
    pub(super) async fn not_ours(&mut self, which: LogMatch) -> Result<(), End> {
        self.own(BTreeMap::new());
        if self.follow_live().await? {
            // It may have another number of partitions.
            return Err(End::AnotherLog);
        }
        match which {
            LogMatch::Altered(altered) => Err(Halt::from(altered).into()),
            LogMatch::Another | LogMatch::Same => Err(identity::is_another().into()),
        }
    }

    /// Goes on with the generation that is live; whether that is another one.
    async fn follow_live(&mut self) -> Result<bool, End> {
        let (stop, pool) = (&self.stop, &self.store.pool);
        let live = stop.retry("asking for the live generation", async || live(pool).await).await?;
        if live == self.store.generation {
            return Ok(false);
        }
        tracing::info!(generation = live, "another generation is live");
        self.store = Store::new(pool.clone(), live, Mode::Live, self.store.keys.clone());
        self.epochs.clear();
        self.cache.switch(live);
        Ok(true)
    }

    /// Another log is noticed here also while nothing comes from it. Where Kafka does not say at once, whoever folds will ask.
    pub(super) async fn look_at_log(&mut self) -> Result<(), End> {
        if self.owned.is_empty() || !self.shared.is_up.load(Ordering::Relaxed) {
            return Ok(());
        }
        let asked = self.identity.compare(&self.store.pool, self.store.generation);
        match self.stop.unless(tokio::time::timeout(LOOK, asked)).await? {
            Ok(Ok(LogMatch::Same) | Err(_)) | Err(_) => Ok(()),
            Ok(Ok(other)) => self.not_ours(other).await,
        }
    }
}

/// How the log that is there stands to the one that was folded; until Kafka says, nothing that was read has an effect.
pub(super) async fn which_log(
    stop: &Stop,
    identity: &mut LogIdentity,
    store: &Store,
) -> Result<LogMatch, End> {
    stop.retry("asking which log is there", async || identity.compare(&store.pool, store.generation).await)
        .await
}

/// A log that does not reach to where it was folded, or begins after it, is another log.
fn check_ends(offsets: &BTreeMap<Partition, i64>, ends: &BTreeMap<Partition, Ends>) -> Result<(), Halt> {
    let cut = |(partition, next): (&Partition, &i64)| {
        let low = ends.get(partition)?.low;
        (low > *next)
            .then(|| format!("{} partition {} offsets {next} to {}", partition.0, partition.1, low - 1))
    };
    let cuts: Vec<_> = offsets.iter().filter_map(cut).collect();
    if !cuts.is_empty() {
        return Err(Halt(format!(
            "the log was cut past what is folded: {} are gone, and nobody has folded them. Restore the log, then `rollcall projection \
             resume`. If that is impossible, `rollcall projection accept-cut` shows what is lost, and goes on without it once you say so",
            cuts.join(", ")
        )));
    }
    for ((topic, partition), next) in offsets {
        let Some(Ends { low, high }) = ends.get(&(*topic, *partition)) else { continue };
        if high < next {
            return Err(Halt(format!(
                "the log is not the one that was folded: {topic} partition {partition} is folded up to offset {next}, \
                 the log has {low} to {high}. Restore the log, then `rollcall projection resume`. If that is impossible, \
                 `rollcall log copy` makes a new log of what is left, which can be folded by itself; docs/operate.md shows the way"
            )));
        }
    }
    Ok(())
}
