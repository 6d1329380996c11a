//! Folds the log into one generation, in rounds. It never overtakes the live generation of the users,
//! which has decided what is accepted.

use super::{
    commit::{Committed, commit},
    events::Events,
    failed::Failed,
    read,
};
use crate::{generation::Pace, pipeline::Batch};
use event_log::replay::Step;
use key_store::Keys;
use projections::Registered;
use read_model::projections::{
    GenerationId,
    batch::{Move, Span},
    round::{At, Round},
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::collections::BTreeMap;

/// The most records of a batch.
const MAX_BATCH: usize = 1_000;

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// Nothing is left.
    Level,
    /// There is more to fold.
    More,
    /// A batch failed, so the next ones are smaller, which finds the record.
    Smaller,
    /// An operator has paused the projection.
    Paused,
}

/// Folds one generation. Whoever has one holds the generation's fold lock.
pub(super) struct Folder<'s> {
    pub(super) settings: &'s Settings,
    pub(super) pool: PgPool,
    pub(super) keys: Keys,
    pub(super) projection: &'static Registered,
    pub(super) id: GenerationId,
    /// The most offsets of a partition that a round folds.
    pub(super) round_size: i64,
    /// Whether a pause stops it.
    pub(super) heeds_pause: bool,
    /// The most records of a batch. A failure halves it, which finds the record.
    batch_size: usize,
    /// Folded records.
    pub(super) records: u64,
    /// How fast it may fold.
    pub(super) pace: Pace,
}

impl<'s> Folder<'s> {
    pub(super) fn new(
        settings: &'s Settings,
        pool: &PgPool,
        keys: &Keys,
        projection: &'static Registered,
        generation: i32,
    ) -> Self {
        Self {
            settings,
            pool: pool.clone(),
            keys: keys.clone(),
            projection,
            id: GenerationId { projection: projection.name, generation },
            round_size: 1_000,
            heeds_pause: false,
            batch_size: MAX_BATCH,
            records: 0,
            pace: Pace::default(),
        }
    }

    /// The next round: no further than to `to`, if it is given.
    pub(super) async fn next(&self, to: Option<&BTreeMap<i32, i64>>) -> anyhow::Result<Round> {
        let mut round = Round::read(&self.pool, self.id, self.round_size).await?;
        anyhow::ensure!(
            round.is_of_live_log,
            "{} is folded from another log than the users, or was dropped",
            self.id
        );
        if let Some(to) = to {
            round.limit(to);
        }
        Ok(round)
    }

    /// Folds a round.
    ///
    /// # Errors
    /// A record can't be folded, or Kafka or PostgreSQL fails.
    pub(super) async fn fold(&mut self, round: &Round) -> anyhow::Result<RoundEnd> {
        if round.is_level() {
            return Ok(RoundEnd::Level);
        }
        let folded = if round.released.is_empty() && round.settled.is_empty() {
            self.fold_ranges(round).await?
        } else {
            // Before anything later of the same users.
            self.fold_released(round).await?
        };
        match folded {
            Committed::Paused => Ok(RoundEnd::Paused),
            Committed::TooMuch => Ok(RoundEnd::Smaller),
            Committed::Done | Committed::FencedOff => Ok(RoundEnd::More),
        }
    }

    /// Folds until nothing is left, or up to `to`.
    pub(super) async fn fold_all(
        &mut self,
        to: Option<&BTreeMap<i32, i64>>,
        mut folded: impl FnMut(&Round),
    ) -> anyhow::Result<()> {
        loop {
            let round = self.next(to).await?;
            folded(&round);
            if self.fold(&round).await? == RoundEnd::Level {
                return Ok(());
            }
        }
    }

    async fn fold_ranges(&mut self, round: &Round) -> anyhow::Result<Committed> {
        let ranges = round.ranges.iter().filter(|(_, range)| !range.is_empty());
        let mut next: BTreeMap<i32, i64> =
            ranges.clone().map(|(partition, range)| (*partition, range.start)).collect();
        let mut steps =
            read::read(self.settings, round, ranges.map(|(partition, range)| (*partition, range.clone())))?;
        while let Some(first) = steps.recv().await {
            let batch = read::collect(first, &mut steps, &next, self.batch_size)
                .await
                .map_err(|error| read::explain(error, self.id.projection))?;
            next.extend(batch.spans.iter().map(|((_, partition), span)| (*partition, span.next)));
            let spans = batch.spans.iter().map(|((_, partition), span)| {
                (*partition, Span { from: span.from, next: span.next, time: span.time })
            });
            let moves = Move { spans: spans.collect(), ..Move::default() };
            let before = self.records;
            let committed = self.fold_batch(batch, moves, round).await?;
            if committed != Committed::Done {
                return Ok(committed);
            }
            self.pace.keep(self.records - before).await;
        }
        let is_read = round
            .ranges
            .iter()
            .all(|(partition, range)| next.get(partition).is_none_or(|next| *next >= range.end));
        anyhow::ensure!(is_read, "the log ended before the offsets that the users have folded");
        Ok(Committed::Done)
    }

    /// Folds the first released record of each partition.
    async fn fold_released(&mut self, round: &Round) -> anyhow::Result<Committed> {
        let mut first: BTreeMap<i32, i64> = BTreeMap::new();
        for (partition, offset) in &round.released {
            first.entry(*partition).or_insert(*offset);
        }
        let mut batch = Batch::default();
        let mut steps = read::read(
            self.settings,
            round,
            first.iter().map(|(partition, offset)| (*partition, *offset..offset + 1)),
        )?;
        while let Some(step) = steps.recv().await {
            if let Step::Record(record) = step.map_err(|error| read::explain(error, self.id.projection))? {
                let from = record.offset;
                batch.push(*record, from);
            }
        }
        let done: Vec<At> = first.into_iter().chain(round.settled.iter().copied()).collect();
        self.fold_batch(batch, Move { done, ..Move::default() }, round).await
    }

    async fn fold_batch(
        &mut self,
        batch: Batch,
        mut moves: Move,
        round: &Round,
    ) -> anyhow::Result<Committed> {
        let records = batch.len();
        let keys = self.keys.get_many(&batch.key_owners()).await?;
        let events = Events::open(batch.into_records(), &keys, &round.rejected);
        // A key in use holds back the answer to the deletion of its user.
        drop(keys);
        let committed = match events {
            Ok(events) => {
                moves.waiting.clone_from(&events.waiting);
                commit(self, &moves, events).await
            }
            Err(failed) => Err(failed.into()),
        };
        match committed {
            Err(error) if records > 1 && error.is::<Failed>() => Ok(self.halve(records)),
            Ok(Committed::TooMuch) if records > 1 => Ok(self.halve(records)),
            Ok(Committed::TooMuch) => Err(too_slow(&moves).into()),
            Ok(committed) => {
                self.batch_size = (self.batch_size * 2).min(MAX_BATCH);
                self.records += u64::try_from(records)?;
                Ok(committed)
            }
            Err(error) => Err(error),
        }
    }

    fn halve(&mut self, records: usize) -> Committed {
        self.batch_size = records / 2;
        Committed::TooMuch
    }
}

fn too_slow(moves: &Move) -> Failed {
    let span = moves.spans.iter().next().map(|(partition, span)| (*partition, span.next - 1));
    Failed {
        record: span.or(moves.done.first().copied()),
        reason: "applying it takes longer than a second".to_owned(),
    }
}
