//! Folds the log into a generation that is not live. It never overtakes the live one, so that both
//! can be stopped at the same offsets.

use super::{Pace, live, source::Source};
use crate::{
    dead_letters::reprocess::{self, PartitionPosition},
    pipeline::{self, Batch, Discarded},
};
use anyhow::Context as _;
use event_log::replay::{Step, replay};
use events_schema::{Partition, ReasonCode, Topic};
use key_store::Keys;
use read_model::{
    locks::FoldLock,
    operate::checkpoints,
    write::{
        InvalidationStatus, Mode, Store,
        ownership::{Checkpoint, Epochs},
        sql_error,
    },
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::mpsc::Receiver;

/// The most offsets of a partition that a round of following folds. Whoever waits for the generation
/// waits for the end of a round.
const ROUND: i64 = 1_000;

/// The first offset that is not folded, of each partition.
pub(crate) type Offsets = BTreeMap<Partition, i64>;

/// Folds the log into a generation that is not live. Whoever has one holds the generation's
/// [`FoldLock`].
pub(crate) struct Follower<'s> {
    pub(super) settings: &'s Settings,
    /// The number of partitions of each topic.
    pub(super) partition_count: u32,
    pub(super) store: Store,
    pub(super) epochs: Epochs,
    pub(super) discarded: Discarded,
    /// Up to where records are folded one by one, because PostgreSQL rejected a batch of them.
    one_by_one: Offsets,
    /// The offsets of the generation.
    pub(super) next_offsets: Offsets,
    /// Folded records.
    pub(super) records: u64,
    /// Parked users. Those whose data key is missing do not count: a replay meets the events of
    /// erased users before their deletions.
    parked: usize,
    /// The most users that may be parked.
    pub(super) max_parked: usize,
    pub(super) pace: Arc<Pace>,
}

/// So many users had to be parked that folding the rest of the log is useless.
#[derive(Debug, thiserror::Error)]
#[error("too many users had to be parked")]
pub(super) struct TooManyParked;

impl<'s> Follower<'s> {
    /// Takes the generation over from whoever folded it before.
    pub(crate) async fn open(
        settings: &'s Settings,
        pool: PgPool,
        keys: Keys,
        generation: i32,
        partitions: &[Partition],
    ) -> anyhow::Result<Self> {
        let mut epochs = Epochs::default();
        let taken = epochs.take_over(&pool, generation, partitions, false).await?;
        let next_offsets = offsets(&taken.checkpoints);
        let store = Store::open(pool, generation, Mode::Following, keys).await?;
        let discarded = Discarded::load(&store.pool, generation, &next_offsets).await?;
        Ok(Self {
            settings,
            partition_count: u32::try_from(partitions.len() / Topic::ALL.len())?,
            store,
            epochs,
            discarded,
            one_by_one: Offsets::new(),
            next_offsets,
            records: 0,
            parked: 0,
            max_parked: usize::MAX,
            pace: Arc::default(),
        })
    }

    /// Waits for the fold lock of a generation, and takes the generation over.
    pub(super) async fn wait(
        settings: &'s Settings,
        pool: &PgPool,
        source: &Source<'_>,
        generation: i32,
    ) -> anyhow::Result<(FoldLock, Self)> {
        let lock = FoldLock::wait(pool, generation).await?;
        let keys = Keys::open(settings)?;
        Ok((lock, Self::open(settings, pool.clone(), keys, generation, &source.partitions).await?))
    }

    /// Takes the generation over again, because a commit was given up on the way.
    pub(super) async fn take_over_again(&mut self, partitions: &[Partition]) -> anyhow::Result<()> {
        let taken = self.epochs.take_over(&self.store.pool, self.store.generation, partitions, false).await?;
        self.next_offsets = offsets(&taken.checkpoints);
        Ok(())
    }

    /// Takes in what the jobs have folded.
    pub(super) async fn folded_in_bulk(&mut self, records: u64, parked: usize) -> anyhow::Result<()> {
        let partitions: Vec<Partition> = self.next_offsets.keys().copied().collect();
        self.take_over_again(&partitions).await?;
        (self.records, self.parked) = (self.records + records, self.parked + parked);
        Ok(())
    }

    /// Gives up as soon as more users than that are parked.
    pub(super) fn limit_parked(&mut self, users: usize) {
        self.max_parked = users;
    }

    /// Folds no faster than that.
    pub(super) fn limit_pace(&mut self, pace: Pace) {
        self.pace = Arc::new(pace);
    }

    /// Keeps the postings up to date from now on, because they are complete.
    pub(super) async fn keep_postings(&mut self) -> anyhow::Result<()> {
        let Store { pool, generation, keys, .. } = self.store.clone();
        self.store = Store::open(pool, generation, Mode::Following, keys).await?;
        Ok(())
    }

    pub(crate) fn generation(&self) -> i32 {
        self.store.generation
    }

    /// The folded offsets of all partitions.
    pub(super) fn folded(&self) -> u64 {
        u64::try_from(self.next_offsets.values().sum::<i64>()).unwrap_or_default()
    }

    /// The number of offsets up to `to`.
    pub(super) fn behind(&self, to: &Offsets) -> i64 {
        to.iter().map(|(partition, end)| (end - self.next(*partition)).max(0)).sum()
    }

    fn next(&self, partition: Partition) -> i64 {
        self.next_offsets.get(&partition).copied().unwrap_or_default()
    }

    /// Folds exactly up to `to`.
    ///
    /// # Errors
    /// The log ends before, or folding fails.
    pub(super) async fn follow(&mut self, to: &Offsets, folded: impl FnMut(u64)) -> anyhow::Result<()> {
        self.read(to, folded).await?;
        anyhow::ensure!(
            self.behind(to) == 0,
            "the log ended before the offsets that the live generation has folded"
        );
        Ok(())
    }

    /// Folds up to `to`, or to the end of the log.
    pub(super) async fn read(&mut self, to: &Offsets, mut folded: impl FnMut(u64)) -> anyhow::Result<()> {
        while self.behind(to) > 0 {
            let ranges: BTreeMap<_, _> = to
                .iter()
                .map(|(partition, end)| (*partition, self.next(*partition)..*end))
                .filter(|(_, range)| !range.is_empty())
                .collect();
            let mut steps = replay(self.settings, self.partition_count, ranges)?;
            let mut is_refused = false;
            while let Some(first) = steps.recv().await {
                let (batch, before) = (self.collect(first, &mut steps).await?, self.records);
                is_refused = !self.fold(batch).await?;
                folded(self.records);
                self.pace.keep(self.records - before).await;
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

    /// Folds a bounded number of records towards `to`. Returns whether it is reached.
    pub(crate) async fn follow_some(&mut self, to: &Offsets) -> anyhow::Result<bool> {
        let some =
            |(partition, end): (&Partition, &i64)| (*partition, *end.min(&(self.next(*partition) + ROUND)));
        let some: Offsets = to.iter().map(some).collect();
        self.follow(&some, |_| {}).await?;
        Ok(self.behind(to) == 0)
    }

    /// Removes the effect of records that were discarded after they were folded here.
    pub(super) async fn apply_discarded(&mut self) -> anyhow::Result<()> {
        let from_the_beginning = self.next_offsets.keys().map(|partition| (*partition, 0)).collect();
        let all = Discarded::load(&self.store.pool, self.generation(), &from_the_beginning).await?;
        for place in all.0.difference(&self.discarded.0) {
            let ((_, partition), _) = *place;
            let queue = self.store.load_queue(*place).await?;
            if queue.is_empty() {
                // It is no dead letter here, or was discarded here before.
                continue;
            }
            let batch = reprocess::batch(queue, self.partition_count, Some(*place), false);
            let states = pipeline::load(&self.store, &batch).await?;
            let next_offset = self.next((Topic::Users, partition));
            let position =
                PartitionPosition { partition, next_offset, partition_count: self.partition_count };
            let reprocessed = reprocess::fold(batch, states, position);
            let is_committed = self
                .store
                .commit_reprocessed(None, &reprocessed, &self.epochs, InvalidationStatus::Confirmed)
                .await
                .map_err(|error| commit_error(&error))?;
            anyhow::ensure!(is_committed, "another process has taken the generation over");
        }
        self.discarded = all;
        Ok(())
    }

    /// Collects records until the batch is full or none are left.
    async fn collect(
        &self,
        first: anyhow::Result<Step>,
        steps: &mut Receiver<anyhow::Result<Step>>,
    ) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(step) = next {
            match step? {
                Step::Record(record) => {
                    let from = self.next(record.partition);
                    batch.push(self.discarded.apply(*record), from);
                }
                Step::Reached(partition, end) => batch.advance(partition, self.next(partition), end),
            }
            let is_more = !batch.is_full() && !self.is_one_by_one();
            next = if is_more { steps.recv().await } else { None };
        }
        Ok(batch)
    }

    fn is_one_by_one(&self) -> bool {
        self.one_by_one.iter().any(|(partition, to)| self.next(*partition) < *to)
    }

    /// Folds a batch. `Ok(false)`: PostgreSQL rejects its data, so its records have to be read
    /// again and folded one by one.
    async fn fold(&mut self, batch: Batch) -> anyhow::Result<bool> {
        let records = u64::try_from(batch.len())?;
        let spare = self.is_one_by_one().then(|| batch.clone());
        let states = pipeline::load(&self.store, &batch).await?;
        let mut effects = pipeline::fold(batch, states);
        let newly_parked = effects.newly_parked;
        match self.store.commit(&mut effects, &self.epochs, InvalidationStatus::Confirmed).await {
            Ok(_) => {}
            Err(error) if sql_error::is_data_refused(&error) => {
                if let Some(alone) = spare.and_then(|batch| batch.poisoned(ReasonCode::RefusedByDatabase)) {
                    return Box::pin(self.fold(alone)).await;
                }
                anyhow::ensure!(!self.is_one_by_one(), commit_error(&error));
                self.one_by_one.extend(effects.spans.iter().map(|(partition, span)| (*partition, span.next)));
                return Ok(false);
            }
            Err(error) => return Err(commit_error(&error)),
        }
        self.next_offsets.extend(effects.spans.iter().map(|(partition, span)| (*partition, span.next)));
        self.records += records;
        self.parked += newly_parked;
        if self.parked > self.max_parked { Err(TooManyParked.into()) } else { Ok(true) }
    }
}

fn commit_error(error: &sqlx::Error) -> anyhow::Error {
    anyhow::anyhow!("committing a batch of the generation failed ({})", sql_error::reason(error))
}

/// The offsets of the live generation.
pub(super) async fn live_offsets(pool: &PgPool) -> anyhow::Result<Offsets> {
    let mut connection = pool.acquire().await?;
    let live = live(&mut connection).await?.context("there is no live generation")?;
    Ok(checkpoints::next_offsets(&mut connection, live).await?)
}

/// The offsets of checkpoints.
pub(super) fn offsets(checkpoints: &BTreeMap<Partition, Checkpoint>) -> Offsets {
    checkpoints.iter().map(|(partition, checkpoint)| (*partition, checkpoint.next_offset)).collect()
}
