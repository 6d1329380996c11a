//! Folds a user's queue again, in the order of the log. Records that are sound now take effect; the
//! first one that is not keeps the rest waiting.

use crate::{
    pipeline::{self, Batch, DATABASE_TIMEOUT, States},
    stop::{Interrupt, StopSignal},
};
use event_log::record::{Fact, Record};
use events_schema::{Place, Reason, ReasonCode, Topic};
use futures_util::FutureExt as _;
use read_model::{
    RejectionReason,
    operate::requests::{Outcome, Request},
    write::{
        Cache, Effects, InvalidationStatus, Remaining, Reprocessed, Span, Store, StoredRecord,
        lease::ServerTime, ownership::Epochs, sql_error, versions_to_invalidate,
    },
};
use service_kit::database::answered;
use std::{collections::BTreeMap, time::Instant};

/// The position of a partition of `users.events`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartitionPosition {
    pub(crate) partition: i32,
    /// The first offset that is not folded.
    pub(crate) next_offset: i64,
    /// The number of partitions of each topic.
    pub(crate) partition_count: u32,
}

/// The queue as a batch, in which the discarded record has no effect. If PostgreSQL refused the
/// other records, they remain dead letters.
pub(crate) fn batch(
    queue: Vec<StoredRecord>,
    partition_count: u32,
    discarded: Option<Place>,
    is_refused: bool,
) -> Batch {
    let mut batch = Batch::default();
    for StoredRecord { partition, offset, time, raw } in queue {
        let mut record = Record::of(partition, offset, time, raw, partition_count);
        if discarded == Some((record.partition, record.offset)) {
            record.fact = Fact::Discarded;
        } else if is_refused {
            record = record.poisoned(ReasonCode::RefusedByDatabase);
        }
        let from = record.offset;
        batch.push(record, from);
    }
    batch
}

/// Folds a queue on the state of its user.
pub(crate) fn fold(batch: Batch, mut states: States, position: PartitionPosition) -> Reprocessed {
    let queue: Vec<_> = batch.topics_and_offsets().collect();
    // What parks the user is this very queue.
    states.parked.clear();
    let mut effects = pipeline::fold(batch, states);
    let PartitionPosition { partition, next_offset, .. } = position;
    let span = Span { from: next_offset, next: next_offset, time: None };
    effects.spans = BTreeMap::from([((Topic::Users, partition), span)]);
    let (resolved, remaining) = divide(queue, &mut effects);
    let first = remaining.first().map(|(.., reason)| reason);
    let outcome = Outcome::new(resolved.len(), remaining.len(), first);
    Reprocessed { partition, effects, resolved, remaining, outcome }
}

/// Divides the records of a queue into those that are resolved and those that remain.
fn divide(queue: Vec<(Topic, i64)>, effects: &mut Effects) -> (Vec<(Topic, i64)>, Vec<Remaining>) {
    let remaining: BTreeMap<(Topic, i64), Reason> = std::mem::take(&mut effects.dead_letters)
        .into_iter()
        .map(|row| ((row.partition.0, row.offset), row.reason))
        .collect();
    // Their rows are in `rejections` already.
    effects.rejections.retain(|row| row.reason != RejectionReason::Parked);
    let resolved = queue.into_iter().filter(|place| !remaining.contains_key(place)).collect();
    let remaining = remaining.into_iter().map(|((topic, offset), reason)| (topic, offset, reason)).collect();
    (resolved, remaining)
}

/// What reprocessing needs of the pipeline.
pub(crate) struct Reprocessor<'p> {
    pub(crate) store: &'p Store,
    pub(crate) epochs: &'p Epochs,
    pub(crate) cache: &'p mut Cache,
    pub(crate) stop: &'p StopSignal,
}

impl Reprocessor<'_> {
    /// Answers a request in the steps of the pipeline: load, fold, commit, publish. `Ok(false)`:
    /// the partition has another owner, or the request was withdrawn.
    pub(crate) async fn reprocess(
        self,
        request: &Request,
        position: PartitionPosition,
    ) -> Result<anyhow::Result<bool>, Interrupt> {
        for is_refused in [false, true] {
            let loaded = load(self.store, request, position, is_refused).boxed_local();
            let (batch, states) = match self.stop.run_until_stopped(loaded).await? {
                Ok(loaded) => loaded,
                Err(error) => return Ok(Err(error)),
            };
            let cache_time = self.cache.invalidate(&versions_to_invalidate(batch.highest_versions())).await;
            let reprocessed = fold(batch, states, position);
            match self.commit(request, &reprocessed, cache_time.as_ref()).await? {
                Ok(true) => {
                    let PartitionPosition { partition, next_offset, .. } = position;
                    let effects = reprocessed.effects;
                    self.cache.publish_revision(effects, partition, next_offset, cache_time.as_ref());
                    return Ok(Ok(true));
                }
                Ok(false) => return Ok(Ok(false)),
                // The second attempt sets aside what PostgreSQL refused.
                Err(error) if sql_error::is_data_refused(&error) && !is_refused => {}
                Err(error) => {
                    let interrupt = Interrupt::by_commit_error(&error);
                    return interrupt
                        .map_or_else(|| Ok(Err(anyhow::anyhow!(sql_error::reason(&error)))), Err);
                }
            }
        }
        Ok(Ok(false))
    }

    async fn commit(
        &self,
        request: &Request,
        reprocessed: &Reprocessed,
        cache_time: Option<&ServerTime>,
    ) -> Result<sqlx::Result<bool>, Interrupt> {
        let from = self.cache.leases.commit_from(cache_time.map(|time| time.run.as_str()), Instant::now());
        self.stop.run_until_stopped(tokio::time::sleep_until(from.into())).await?;
        let invalidation = InvalidationStatus::of(cache_time);
        let commit = self.store.commit_reprocessed(Some(request), reprocessed, self.epochs, invalidation);
        Ok(answered(DATABASE_TIMEOUT, commit).await)
    }
}

async fn load(
    store: &Store,
    request: &Request,
    position: PartitionPosition,
    is_refused: bool,
) -> anyhow::Result<(Batch, States)> {
    let place = request.place();
    let queue = store.load_queue(place).await?;
    let discarded = Some(place).filter(|_| request.is_discard());
    let batch = batch(queue, position.partition_count, discarded, is_refused);
    let states = pipeline::load(store, &batch).await?;
    Ok((batch, states))
}
