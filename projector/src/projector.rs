//! The fold loop: one batch after the other, from the log into the read model.

mod ownership;
mod project;
mod supervise;
mod upkeep;

pub(crate) use supervise::{Parts, supervise};

use crate::{
    batch::Batch,
    dead_letters::discarded::Discarded,
    log::{Consumer, Event, Shared},
    state::{End, Stop},
};
use event_log::{identity::LogIdentity, record::Record};
use events_schema::Partition;
use privacy::Vacuum;
use read_model::write::{Cache, Store, fence::Epochs};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;

/// For one answer of the read model; what became of a commit without one is asked.
const ANSWER: Duration = Duration::from_secs(10);
/// How often leases are renewed.
const RENEW: Duration = Duration::from_millis(700);
/// The projector at work.
struct Projector {
    store: Store,
    stop: Stop,
    shared: Shared,
    consumer: Consumer,
    identity: LogIdentity,
    cache: Cache,
    epochs: Epochs,
    /// The partitions that are ours, and the next offset of each.
    owned: BTreeMap<Partition, i64>,
    times: BTreeMap<Partition, OffsetDateTime>,
    /// The number of partitions of each topic.
    partitions: u32,
    /// Records to come that have no effect.
    discarded: Discarded,
    vacuum: Vacuum,
    /// Up to where records are folded one by one, since a batch of them was refused, or would have parked too many.
    one_by_one: BTreeMap<Partition, i64>,
}

impl Projector {
    async fn run(&mut self) -> Result<(), End> {
        let mut renew = tokio::time::interval(RENEW);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let stop = self.stop.clone();
            tokio::select! {
                biased;
                () = stop.wished() => return Err(End::Stopping),
                _ = renew.tick() => self.renew().await?,
                event = self.consumer.events.recv() => match event {
                    Some(event) => self.hear(event).await?,
                    None => return Err(End::Broken),
                },
                () = std::future::ready(()), if self.cache.can_catch_up() => {}
            }
            if self.cache.can_catch_up() {
                self.catch_up().await?;
            }
        }
    }

    async fn hear(&mut self, event: Event) -> Result<(), End> {
        let mut event = Some(event);
        while let Some(next) = event.take() {
            match next {
                Event::Assigned { partitions, reply } => self.assigned(partitions, reply).await?,
                Event::Revoked => self.own(BTreeMap::new()),
                first @ (Event::Record(_) | Event::Reached { .. }) => {
                    let (batch, after) = self.drain(first);
                    event = after;
                    if !batch.is_empty() {
                        self.project(batch).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything that is queued, up to a batch, or to an event that is about assignments.
    fn drain(&mut self, first: Event) -> (Batch, Option<Event>) {
        let mut batch = Batch::default();
        let mut event = Some(first);
        while let Some(next) = event.take() {
            match next {
                Event::Record(record) => self.collect(&mut batch, *record),
                Event::Reached { partition, next } => self.reach(&mut batch, partition, next),
                other => return (batch, Some(other)),
            }
            if !batch.is_full() && !self.is_one_by_one() {
                event = self.consumer.events.try_recv().ok();
            }
        }
        (batch, None)
    }

    /// Records from before a loss or a new start are left out.
    fn collect(&self, batch: &mut Batch, record: Record) {
        let Some((next, at)) = self.standing(batch, record.partition) else { return };
        if record.offset >= at {
            batch.push(self.discarded.hide(record), next);
        }
    }

    /// So are ends.
    fn reach(&self, batch: &mut Batch, partition: Partition, end: i64) {
        let Some((next, at)) = self.standing(batch, partition) else { return };
        if end > at {
            batch.reach(partition, next, end);
        }
    }

    /// Where a partition of ours stands: without the batch, and with it.
    fn standing(&self, batch: &Batch, partition: Partition) -> Option<(i64, i64)> {
        let next = *self.owned.get(&partition)?;
        Some((next, batch.spans.get(&partition).map_or(next, |span| span.next)))
    }

    /// Whether records are folded one by one until a span is through that was refused.
    fn is_one_by_one(&self) -> bool {
        self.one_by_one.iter().any(|(partition, to)| self.owned.get(partition).is_some_and(|next| next < to))
    }
}
