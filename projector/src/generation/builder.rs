//! A generation while it is built: it follows the live one and never runs ahead of it, so that both can be stopped at one vector.

use crate::{
    dead_letters::reprocess::{self, PartitionPosition},
    pipeline::{self, Batch, decode::Discarded},
};
use event_log::replay::{Step, replay};
use events_schema::{Partition, ReasonCode, Topic};
use key_store::Keys;
use read_model::write::{
    Invalidation, Mode, Store,
    fence::{Checkpoint, Epochs},
    sql_error,
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::collections::BTreeMap;
use tokio::sync::mpsc::Receiver;

/// Where partitions stand: the first offset of each that is not folded.
pub(super) type Vector = BTreeMap<Partition, i64>;

pub(super) struct Builder<'s> {
    settings: &'s Settings,
    partitions: u32,
    store: Store,
    epochs: Epochs,
    discarded: Discarded,
    /// Up to where records are folded one by one, since a batch of them was refused.
    one_by_one: Vector,
    /// Where it stands.
    pub(super) at: Vector,
    /// Records folded so far.
    pub(super) records: u64,
    /// Users parked so far; not those who wait for a key, since events of erased users are met before their deletions.
    parked: usize,
    /// How many of these there may be.
    may_park: usize,
}

/// So many users had to be parked that the rest of the log need not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("too many users had to be parked")]
pub(super) struct TooManyParked;

impl<'s> Builder<'s> {
    pub(super) async fn new(
        settings: &'s Settings,
        pool: PgPool,
        generation: i32,
        partitions: &[Partition],
        keys: Keys,
    ) -> anyhow::Result<Self> {
        let mut epochs = Epochs::default();
        let taken = epochs.take_over(&pool, generation, partitions, false).await?;
        let at = offsets(&taken.checkpoints);
        let count = u32::try_from(partitions.len() / Topic::ALL.len())?;
        let store = Store::new(pool, generation, Mode::Building, keys);
        let discarded = Discarded::load(&store.pool, generation, &at).await?;
        let (one_by_one, records, parked) = (Vector::new(), 0, 0);
        let partitions = count;
        Ok(Self {
            settings,
            partitions,
            store,
            epochs,
            discarded,
            one_by_one,
            at,
            records,
            parked,
            may_park: usize::MAX,
        })
    }

    /// Gives up once more users than that are parked.
    pub(super) fn may_park(&mut self, users: usize) {
        self.may_park = users;
    }

    pub(super) fn generation(&self) -> i32 {
        self.store.generation
    }

    /// How many offsets lie between it and `to`.
    pub(super) fn behind(&self, to: &Vector) -> i64 {
        to.iter().map(|(partition, end)| (end - self.next(*partition)).max(0)).sum()
    }

    fn next(&self, partition: Partition) -> i64 {
        self.at.get(&partition).copied().unwrap_or_default()
    }

    /// Folds exactly up to `to`.
    pub(super) async fn follow(&mut self, to: &Vector, folded: impl FnMut(u64)) -> anyhow::Result<()> {
        self.read(to, folded).await?;
        anyhow::ensure!(
            self.behind(to) == 0,
            "the log ended before the offsets that the live generation has folded"
        );
        Ok(())
    }

    /// Folds what there is up to `to`, where no record need lie.
    pub(super) async fn read(&mut self, to: &Vector, mut folded: impl FnMut(u64)) -> anyhow::Result<()> {
        while self.behind(to) > 0 {
            let ranges: BTreeMap<_, _> = to
                .iter()
                .map(|(partition, end)| (*partition, self.next(*partition)..*end))
                .filter(|(_, range)| !range.is_empty())
                .collect();
            let mut steps = replay(self.settings, self.partitions, ranges)?;
            let mut is_refused = false;
            while let Some(first) = steps.recv().await {
                let batch = self.drain(first?, &mut steps)?;
                is_refused = !self.fold(batch).await?;
                folded(self.records);
                if is_refused {
                    break;
                }
            }
            if !is_refused {
                break;
            }
        }
        Ok(())
    }

    /// Takes the effect of what was discarded since it was folded here.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        let from_the_beginning = self.at.keys().map(|partition| (*partition, 0)).collect();
        let all = Discarded::load(&self.store.pool, self.generation(), &from_the_beginning).await?;
        for place in all.0.difference(&self.discarded.0) {
            let ((_, partition), _) = *place;
            let queue = self.store.load_queue(*place).await?;
            let batch = reprocess::batch(queue, self.partitions, Some(*place), false);
            let states = pipeline::load(&self.store, &batch).await?;
            let next_offset = self.next((Topic::Users, partition));
            let position = PartitionPosition { partition, next_offset, partition_count: self.partitions };
            let settlement = reprocess::fold(batch, states, position);
            let settled = self
                .store
                .commit_reprocessed(None, &settlement, &self.epochs, Invalidation::Confirmed)
                .await
                .map_err(|error| refusal(&error))?;
            anyhow::ensure!(settled, "another rebuild has taken the new generation over");
        }
        self.discarded = all;
        Ok(())
    }

    fn drain(&self, first: Step, steps: &mut Receiver<anyhow::Result<Step>>) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(step) = next {
            match step {
                Step::Record(record) => {
                    let from = self.next(record.partition);
                    batch.push(self.discarded.apply(*record), from);
                }
                Step::Reached(partition, end) => batch.reach(partition, self.next(partition), end),
            }
            let is_more = !batch.is_full() && !self.is_one_by_one();
            next = if is_more { steps.try_recv().ok().transpose()? } else { None };
        }
        Ok(batch)
    }

    fn is_one_by_one(&self) -> bool {
        self.one_by_one.iter().any(|(partition, to)| self.next(*partition) < *to)
    }

    /// Folds a batch; `Ok(false)`: Postgres refuses its data, so it is to be read again and folded one by one.
    async fn fold(&mut self, batch: Batch) -> anyhow::Result<bool> {
        let records = u64::try_from(batch.len())?;
        let spare = self.is_one_by_one().then(|| batch.clone());
        let states = pipeline::load(&self.store, &batch).await?;
        let mut effects = pipeline::fold(batch, states);
        let newly_parked = effects.newly_parked;
        match self.store.commit(&mut effects, &self.epochs, Invalidation::Confirmed).await {
            Ok(_) => {}
            Err(error) if sql_error::is_data_refused(&error) => {
                if let Some(alone) = spare.and_then(|batch| batch.poisoned(ReasonCode::RefusedByDatabase)) {
                    return Box::pin(self.fold(alone)).await;
                }
                anyhow::ensure!(!self.is_one_by_one(), refusal(&error));
                self.one_by_one.extend(effects.spans.iter().map(|(partition, span)| (*partition, span.next)));
                return Ok(false);
            }
            Err(error) => return Err(refusal(&error)),
        }
        self.at.extend(effects.spans.iter().map(|(partition, span)| (*partition, span.next)));
        self.records += records;
        self.parked += newly_parked;
        if self.parked > self.may_park { Err(TooManyParked.into()) } else { Ok(true) }
    }
}

fn refusal(error: &sqlx::Error) -> anyhow::Error {
    anyhow::anyhow!("a batch of the new generation was not committed ({})", sql_error::reason(error))
}

pub(super) fn offsets(checkpoints: &BTreeMap<Partition, Checkpoint>) -> Vector {
    checkpoints.iter().map(|(partition, checkpoint)| (*partition, checkpoint.next_offset)).collect()
}
