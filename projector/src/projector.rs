//! The fold loop: one batch after the other, from the log into the read model.

use crate::{
    ask,
    batch::Batch,
    effects::Effects,
    fence::{Epochs, FENCED, Fate},
    generation,
    log::{Consumer, Ends, Event, Shared},
    metrics, migrate,
    park::Parked,
    record::{Partition, Record, Topic},
    state::{End, Halt, State, Stop},
    store::{
        link::Link,
        postgres::{Announce, Store},
        redis::{Cache, Marks, user_key},
    },
};
use anyhow::Context as _;
use service_kit::{fault, settings::Settings};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    sync::PoisonError,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};

/// How often leases are renewed.
const RENEW: Duration = Duration::from_millis(700);

/// What the supervisor hands over.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) pool: PgPool,
    pub(crate) link: Link,
    pub(crate) shared: Shared,
    pub(crate) state: watch::Sender<State>,
    pub(crate) stop: Stop,
}

/// The projector at work.
struct Projector {
    store: Store,
    stop: Stop,
    shared: Shared,
    consumer: Consumer,
    cache: Cache,
    epochs: Epochs,
    /// The partitions that are ours, and the next offset of each.
    owned: BTreeMap<Partition, i64>,
    times: BTreeMap<Partition, OffsetDateTime>,
    parked: Parked,
}

/// Works until it is asked to stop; where a person is needed it waits for that, saying why.
pub(crate) async fn supervise(parts: Parts) {
    let (state, stop) = (parts.state.clone(), parts.stop.clone());
    if let Err(End::Halt(halt)) = work(parts).await {
        tracing::error!(reason = %halt, "the projector has stopped");
        state.send_replace(State::Stopped(halt.0));
        stop.wished().await;
    }
}

async fn work(parts: Parts) -> Result<(), End> {
    let Parts { settings, pool, link, shared, state, stop } = parts;
    stop.retry("preparing topics and read model", async || migrate::migrate(&settings).await).await?;
    let partitions = stop.retry("asking for the topics", async || ask::partitions(&settings).await).await?;
    let live = stop.retry("asking for the live generation", async || live(&pool).await).await?;
    let consumer = Consumer::start(&settings, partitions, shared.clone())
        .map_err(|error| Halt(format!("the log's consumer can't be made: {error:#}")))?;
    state.send_replace(State::Running);
    tracing::info!(generation = live, partitions, "the projector is at work");
    let mut projector = Projector {
        store: Store::new(pool, live, Announce::Yes),
        stop,
        shared,
        consumer,
        cache: Cache::new(&settings.topic_prefix, live, link),
        epochs: Epochs::default(),
        owned: BTreeMap::new(),
        times: BTreeMap::new(),
        parked: Parked::default(),
    };
    let ended = projector.run().await;
    projector.consumer.stop().await;
    ended
}

async fn live(pool: &PgPool) -> anyhow::Result<i32> {
    let mut connection = pool.acquire().await?;
    generation::live(&mut connection).await?.context("there is no live generation")
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
                    None => return Err(Halt("the log's consumer ended".to_owned()).into()),
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
                Event::Record(record) => {
                    let (batch, after) = self.drain(*record);
                    event = after;
                    if !batch.is_empty() {
                        self.project(batch).await?;
                    }
                }
                Event::Assigned { partitions, reply } => self.assigned(partitions, reply).await?,
                Event::Revoked => self.own(BTreeMap::new()),
            }
        }
        Ok(())
    }

    /// Everything that is queued, up to a batch, or to an event that is no record.
    fn drain(&mut self, first: Record) -> (Batch, Option<Event>) {
        let mut batch = Batch::default();
        self.collect(&mut batch, first);
        while !batch.is_full() {
            match self.consumer.events.try_recv() {
                Ok(Event::Record(record)) => self.collect(&mut batch, *record),
                Ok(other) => return (batch, Some(other)),
                Err(_) => break,
            }
        }
        (batch, None)
    }

    /// Records from before a loss or a new start are left out.
    fn collect(&self, batch: &mut Batch, record: Record) {
        let Some(next) = self.owned.get(&record.partition) else { return };
        let at = batch.spans.get(&record.partition).map_or(*next, |span| span.next);
        if record.offset >= at {
            batch.push(record, *next);
        }
    }

    async fn assigned(
        &mut self,
        partitions: BTreeMap<Partition, Ends>,
        reply: oneshot::Sender<BTreeMap<Partition, i64>>,
    ) -> Result<(), End> {
        let numbers: Vec<_> = partitions.keys().copied().collect();
        let (stop, store, epochs) = (&self.stop, &self.store, &mut self.epochs);
        let taken = stop
            .retry("taking partitions over", async || {
                epochs.take_over(&store.pool, store.generation, &numbers).await
            })
            .await?;
        if taken.had_another_owner {
            self.cache.leases.taken_over(Instant::now());
        }
        let offsets: BTreeMap<_, _> = taken
            .checkpoints
            .iter()
            .map(|(partition, checkpoint)| (*partition, checkpoint.next_offset))
            .collect();
        check_ends(&offsets, &partitions)?;
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

    fn own(&mut self, offsets: BTreeMap<Partition, i64>) {
        self.owned
            .keys()
            .filter(|partition| !offsets.contains_key(partition))
            .copied()
            .for_each(metrics::hide_lag);
        self.shared.folded.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&offsets);
        self.owned = offsets;
    }

    /// Folds a batch and commits it: exactly once, whatever fails on the way.
    async fn project(&mut self, batch: Batch) -> Result<(), End> {
        let started = Instant::now();
        let records = batch.len();
        let marks: Marks =
            batch.marks().into_iter().map(|(partition, users)| (partition, keys(users))).collect();
        let load = self.stop.retry("loading states", async || self.store.load(&batch).await);
        let (states, seen) = tokio::join!(load, self.cache.mark(&marks));
        let states = states?;
        fault::point("fold.loaded");
        let effects = batch.fold(states);
        metrics::FOLD_SECONDS.observe(started.elapsed().as_secs_f64());
        if !self.parked.admit(effects.newly_parked, started) {
            return Err(Halt(
                "too many users had to be parked in a short span: nothing more is folded".to_owned(),
            )
            .into());
        }
        let from = self.cache.leases.commit_from(seen.as_ref().map(|seen| seen.run.as_str()), Instant::now());
        if from > Instant::now() {
            self.stop.unless(tokio::time::sleep_until(from.into())).await?;
        }
        fault::point("fold.marked");
        let committing = Instant::now();
        match self.commit(&effects).await? {
            Fate::Committed => {
                fault::point("fold.committed");
                metrics::COMMIT_SECONDS.observe(committing.elapsed().as_secs_f64());
                self.committed(&effects, records);
                self.cache.write(effects, seen.as_ref());
                Ok(())
            }
            Fate::Open | Fate::Lost => self.lost().await,
        }
    }

    /// Commits; where the answer is lost or an error, the checkpoints say what became of it.
    async fn commit(&mut self, effects: &Effects) -> Result<Fate, End> {
        let mut pause = Duration::from_millis(50);
        loop {
            fault::point_soon("fold.committing");
            let Err(error) = self.store.commit(effects, &self.epochs).await else {
                return Ok(Fate::Committed);
            };
            // Never the error's own text: it may repeat a row.
            let code =
                error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            metrics::FENCED.inc_by(u64::from(code == FENCED));
            tracing::warn!(code, "a batch was not committed, or the answer was lost");
            let fate = self.stop.retry("asking what became of a commit", async || {
                self.epochs.fate(&self.store.pool, self.store.generation, &effects.spans).await
            });
            match fate.await? {
                Fate::Open => self.stop.unless(tokio::time::sleep(pause)).await?,
                fate @ (Fate::Committed | Fate::Lost) => return Ok(fate),
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    fn committed(&mut self, effects: &Effects, records: usize) {
        let mut folded = self.shared.folded.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, span) in &effects.spans {
            self.owned.insert(*partition, span.next);
            folded.insert(*partition, span.next);
            if let Some(time) = span.time {
                self.times.insert(*partition, time.get());
            }
        }
        metrics::count(effects, records);
    }

    /// The partitions are another's: of another generation, then they are taken over there; or of another instance, then the group
    /// says which are ours.
    async fn lost(&mut self) -> Result<(), End> {
        self.own(BTreeMap::new());
        let (stop, pool) = (&self.stop, &self.store.pool);
        let live = stop.retry("asking for the live generation", async || live(pool).await).await?;
        if live == self.store.generation {
            tracing::warn!("partitions were taken over by another instance; joining the group again");
            self.consumer.rejoin();
        } else {
            tracing::info!(generation = live, "another generation is live");
            self.store = Store::new(pool.clone(), live, Announce::Yes);
            self.epochs.clear();
            self.cache.switch(live);
            self.consumer.reassign();
        }
        Ok(())
    }

    /// Proves that the partitions are still ours, and renews their leases on that ground.
    async fn renew(&mut self) -> Result<(), End> {
        self.show_lag();
        if self.owned.is_empty() {
            return Ok(());
        }
        let seen = self.cache.mark(&Marks::new()).await;
        let hold = self.epochs.hold(&self.store.pool, self.store.generation, self.owned.keys());
        match self.stop.unless(hold).await? {
            Ok(true) => self.cache.renew(&self.positions(), seen.as_ref()).await,
            Ok(false) => self.lost().await?,
            Err(error) => tracing::warn!(%error, "the fence can't be checked; leases are not renewed"),
        }
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), End> {
        let positions = self.positions();
        if let Err(error) = self.cache.catch_up(&self.store, &positions).await {
            tracing::warn!(error = format!("{error:#}"), "the cache can't be written again yet");
            self.stop.unless(tokio::time::sleep(Duration::from_millis(200))).await?;
        }
        Ok(())
    }

    /// Up to where each of our partitions of `users.events` is folded.
    fn positions(&self) -> BTreeMap<i32, i64> {
        let users = self.owned.iter().filter(|((topic, _), _)| *topic == Topic::Users);
        users.map(|((_, partition), next)| (*partition, *next)).collect()
    }

    fn show_lag(&self) {
        let ends = self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, next) in &self.owned {
            let records = ends.get(partition).map_or(0, |end| (end - next).max(0));
            metrics::show_lag(*partition, records, self.times.get(partition).copied());
        }
    }
}

fn keys(users: BTreeMap<&events_schema::UserKey, u64>) -> Vec<(String, u64)> {
    users.into_iter().map(|(key, version)| (user_key(key), version)).collect()
}

/// A log that does not reach to where it was folded, or begins after it, is another log.
fn check_ends(offsets: &BTreeMap<Partition, i64>, ends: &BTreeMap<Partition, Ends>) -> Result<(), Halt> {
    for ((topic, partition), next) in offsets {
        let Some(Ends { low, high }) = ends.get(&(*topic, *partition)) else { continue };
        if high < next || low > next {
            return Err(Halt(format!(
                "the log is not the one that was folded: {topic} partition {partition} is folded up to offset {next}, \
                 the log has {low} to {high}. Restore the log"
            )));
        }
    }
    Ok(())
}
