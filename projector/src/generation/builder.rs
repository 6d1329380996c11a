//! A generation while it is built: it follows the live one and never runs ahead of it, so that both can be stopped at one vector.

use super::replay::replay;
use crate::{
    batch::Batch,
    fence::{Checkpoint, Epochs},
    record::{Partition, Record},
    store::postgres::{Announce, Store},
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
    /// Where it stands.
    pub(super) at: Vector,
    /// Records folded so far.
    pub(super) records: u64,
}

impl<'s> Builder<'s> {
    pub(super) async fn new(
        settings: &'s Settings,
        pool: PgPool,
        generation: i32,
        partitions: &[Partition],
    ) -> anyhow::Result<Self> {
        let mut epochs = Epochs::default();
        let taken = epochs.take_over(&pool, generation, partitions).await?;
        let at = offsets(&taken.checkpoints);
        let count = u32::try_from(partitions.len() / crate::record::Topic::ALL.len())?;
        let store = Store::new(pool, generation, Announce::No);
        Ok(Self { settings, partitions: count, store, epochs, at, records: 0 })
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
    pub(super) async fn follow(&mut self, to: &Vector, mut folded: impl FnMut(u64)) -> anyhow::Result<()> {
        let ranges: BTreeMap<_, _> = to
            .iter()
            .map(|(partition, end)| (*partition, self.next(*partition)..*end))
            .filter(|(_, range)| !range.is_empty())
            .collect();
        if ranges.is_empty() {
            return Ok(());
        }
        let mut records = replay(self.settings, self.partitions, ranges)?;
        while let Some(first) = records.recv().await {
            let batch = self.drain(first?, &mut records)?;
            self.fold(batch).await?;
            folded(self.records);
        }
        anyhow::ensure!(
            self.behind(to) == 0,
            "the log ended before the offsets that the live generation has folded"
        );
        Ok(())
    }

    fn drain(&self, first: Record, records: &mut Receiver<anyhow::Result<Record>>) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        let from = self.next(first.partition);
        batch.push(first, from);
        while !batch.is_full() {
            let Ok(record) = records.try_recv() else { break };
            let record = record?;
            let from = self.next(record.partition);
            batch.push(record, from);
        }
        Ok(batch)
    }

    async fn fold(&mut self, batch: Batch) -> anyhow::Result<()> {
        let records = u64::try_from(batch.len())?;
        let states = self.store.load(&batch).await?;
        let effects = batch.fold(states);
        // Never the error's own text: it may repeat a row.
        self.store.commit(&effects, &self.epochs).await.map_err(|error| {
            let code =
                error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            anyhow::anyhow!("a batch of the new generation was not committed (SQLSTATE {code})")
        })?;
        self.at.extend(effects.spans.iter().map(|(partition, span)| (*partition, span.next)));
        self.records += records;
        Ok(())
    }
}

pub(super) fn offsets(checkpoints: &BTreeMap<Partition, Checkpoint>) -> Vector {
    checkpoints.iter().map(|(partition, checkpoint)| (*partition, checkpoint.next_offset)).collect()
}
