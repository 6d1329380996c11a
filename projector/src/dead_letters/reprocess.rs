//! Folds a user's queue again, in the order of the log. Records that are sound now take effect; the
//! first one that is not keeps the rest waiting.

use crate::{
    batch::{Batch, States},
    load,
    state::{End, Stop},
};
use event_log::record::{Fact, Record};
use events_schema::{Place, Reason, ReasonCode, Topic};
use read_model::{
    RejectionReason,
    operate::requests::{Outcome, Request},
    write::{
        Cache, Effects, Invalidation, Remaining, Reprocessed, Span, Store, StoredRecord, fence::Epochs,
        invalidations, sql_error,
    },
};
use service_kit::database::answered;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// For the transaction.
const ANSWER: Duration = Duration::from_secs(10);

/// The position of a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) partition: i32,
    /// The offset of the checkpoint of `users.events`.
    pub(crate) at: i64,
    /// The number of partitions of each topic.
    pub(crate) partitions: u32,
}

/// The queue as a batch, in which the discarded record has no effect. If PostgreSQL refused the other
/// records, they remain dead letters.
pub(crate) fn batch(
    queue: Vec<StoredRecord>,
    partitions: u32,
    discarded: Option<Place>,
    is_refused: bool,
) -> Batch {
    let mut batch = Batch::default();
    for StoredRecord { partition, offset, time, raw } in queue {
        let mut record = Record::of(partition, offset, time, raw, partitions);
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
pub(crate) fn fold(batch: Batch, mut states: States, standing: Standing) -> Reprocessed {
    let queue: Vec<_> = batch.places().collect();
    // The user is parked by this very queue.
    states.parked.clear();
    let mut effects = batch.fold(states);
    let Standing { partition, at, .. } = standing;
    effects.spans = BTreeMap::from([((Topic::Users, partition), Span { from: at, next: at, time: None })]);
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

/// What reprocessing needs of the projector.
pub(crate) struct Hands<'p> {
    pub(crate) store: &'p Store,
    pub(crate) epochs: &'p Epochs,
    pub(crate) cache: &'p mut Cache,
    pub(crate) stop: &'p Stop,
}

/// Answers a request, in the steps of a batch: invalidate, commit, publish. `Ok(false)`: the partition
/// has another owner, or the request was withdrawn.
pub(crate) async fn reprocess(
    hands: Hands<'_>,
    request: &Request,
    standing: Standing,
) -> Result<anyhow::Result<bool>, End> {
    let Hands { store, epochs, cache, stop } = hands;
    for is_refused in [false, true] {
        let (batch, states) = match stop.unless(load(store, request, standing, is_refused)).await? {
            Ok(loaded) => loaded,
            Err(error) => return Ok(Err(error)),
        };
        let seen = cache.invalidate(&invalidations(batch.marks())).await;
        let reprocessed = fold(batch, states, standing);
        let from = cache.leases.commit_from(seen.as_ref().map(|seen| seen.run.as_str()), Instant::now());
        stop.unless(tokio::time::sleep_until(from.into())).await?;
        let invalidation = if seen.is_some() { Invalidation::Confirmed } else { Invalidation::Unknown };
        let commit = store.commit_reprocessed(Some(request), &reprocessed, epochs, invalidation);
        match answered(ANSWER, commit).await {
            Ok(true) => {
                cache.write_revision(reprocessed.effects, standing.partition, standing.at, seen.as_ref());
                return Ok(Ok(true));
            }
            Ok(false) => return Ok(Ok(false)),
            Err(error) if sql_error::is_data_refused(&error) && !is_refused => {}
            Err(error) if sql_error::is_inconsistent(&error) => {
                return Err(End::Inconsistent(sql_error::reason(&error)));
            }
            Err(error) => return Ok(Err(anyhow::anyhow!(sql_error::reason(&error)))),
        }
    }
    Ok(Ok(false))
}

async fn load(
    store: &Store,
    request: &Request,
    standing: Standing,
    is_refused: bool,
) -> anyhow::Result<(Batch, States)> {
    let place = request.place();
    let queue = store.load_queue(place).await?;
    let batch = batch(queue, standing.partitions, Some(place).filter(|_| request.is_discard()), is_refused);
    let states = load::load(store, &batch).await?;
    Ok((batch, states))
}
