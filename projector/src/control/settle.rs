//! A user's queue, folded again: what is sound now has its effect, in the order of the log, and the first that is not keeps the rest waiting.

use super::{
    discarded::Place,
    requests::{Outcome, Request},
};
use crate::{
    batch::{Batch, States},
    effects::Span,
    fence::Epochs,
    state::{End, Stop},
    store::{
        erase::Cached,
        postgres::Store,
        queue::{Settlement, sort},
        redis::{Cache, keys},
        refused,
    },
};
use event_log::record::{Fact, Record};
use events_schema::{ReasonCode, Topic};
use service_kit::database::answered;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// For the transaction.
const ANSWER: Duration = Duration::from_secs(10);

/// Where a projector stands with a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) partition: i32,
    /// The offset of the checkpoint of `users.events`.
    pub(crate) at: i64,
    /// The number of partitions of each topic.
    pub(crate) partitions: u32,
}

/// The queue as a batch, without the effect of the record that is discarded; where Postgres has refused the others, they stay.
pub(crate) fn batch(queue: Vec<Record>, discarded: Option<Place>, is_refused: bool) -> Batch {
    let mut batch = Batch::default();
    for mut record in queue {
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

/// Folds a queue on the states of its user.
pub(crate) fn fold(batch: Batch, mut states: States, standing: Standing) -> Settlement {
    let queue: Vec<_> = batch.places().collect();
    // It is this queue by which the user is parked.
    states.parked.clear();
    let mut effects = batch.fold(states);
    let Standing { partition, at, .. } = standing;
    effects.spans = BTreeMap::from([((Topic::Users, partition), Span { from: at, next: at, time: None })]);
    let (settled, left) = sort(queue, &mut effects);
    let outcome = Outcome::new(settled.len(), left.len(), left.first().map(|(.., reason)| reason));
    Settlement { partition, effects, settled, left, outcome }
}

/// What does the work.
pub(crate) struct Hands<'p> {
    pub(crate) store: &'p Store,
    pub(crate) epochs: &'p Epochs,
    pub(crate) cache: &'p mut Cache,
    pub(crate) stop: &'p Stop,
}

/// Does what a request asks for, along the path of every batch: marks, commit, bodies. `Ok(false)`: the partition is another's now, or the
/// request was withdrawn.
pub(crate) async fn settle(
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
        let seen = cache.mark(&keys(batch.marks())).await;
        let settlement = fold(batch, states, standing);
        let from = cache.leases.commit_from(seen.as_ref().map(|seen| seen.run.as_str()), Instant::now());
        stop.unless(tokio::time::sleep_until(from.into())).await?;
        let cached = if seen.is_some() { Cached::Marked } else { Cached::Unknown };
        match answered(ANSWER, store.settle(Some(request), &settlement, epochs, cached)).await {
            Ok(true) => {
                cache.write_behind(settlement.effects, standing.partition, standing.at, seen.as_ref());
                return Ok(Ok(true));
            }
            Ok(false) => return Ok(Ok(false)),
            Err(error) if refused::is_data_refused(&error) && !is_refused => {}
            Err(error) if refused::is_inconsistent(&error) => {
                return Err(End::Inconsistent(refused::reason(&error)));
            }
            Err(error) => return Ok(Err(anyhow::anyhow!(refused::reason(&error)))),
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
    let place = ((request.topic, request.partition), request.offset);
    let queue = store.load_queue(place, standing.partitions).await?;
    let batch = batch(queue, Some(place).filter(|_| request.is_discard()), is_refused);
    let states = store.load(&batch).await?;
    Ok((batch, states))
}
