//! The fold loop: one batch after the other, from the log into the read model.

use crate::{
    ask,
    batch::Batch,
    control::{
        discarded::Discarded,
        pause::{self, By},
        requests::{self, Request},
        settle::{self, Hands, REFUSED, Standing},
    },
    effects::Effects,
    erasures,
    fence::{Epochs, FENCED, Fate},
    generation,
    log::{Consumer, Ends, Event, Shared},
    log_identity::{self, LogIdentity},
    metrics, migrate, park,
    record::{Partition, Record, Topic},
    state::{End, Halt, State, Stop},
    store::{
        erase::Cached,
        link::Link,
        postgres::{self, Announce, Store},
        redis::{Cache, Marks, keys},
    },
    vacuum::Vacuum,
};
use anyhow::Context as _;
use service_kit::{database::answered, fault, keys::Keys, settings::Settings};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};

/// How often leases are renewed.
const RENEW: Duration = Duration::from_millis(700);
/// For one answer of the read model; what became of a commit without one is asked.
const ANSWER: Duration = Duration::from_secs(10);

/// For Kafka to say which log is there, where that is only asked so that another one is noticed soon.
const LOOK: Duration = Duration::from_millis(300);

/// How often it is asked whether the work may go on.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What the supervisor hands over.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) pool: PgPool,
    pub(crate) keys: Keys,
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

/// Works until it is asked to stop. Where a person is needed the projectors are paused, and go on once that is taken back.
pub(crate) async fn supervise(parts: Parts) {
    loop {
        let paused = match work(parts.clone()).await {
            Ok(()) | Err(End::Stopping) => return,
            Err(End::Broken) => {
                tracing::error!("the log's consumer ended; making another one");
                continue;
            }
            Err(End::Halt(halt)) => halted(&parts, By::Log, &format!("{halt}, {RESUME}")).await,
            Err(End::TooManyParked) => halted(&parts, By::Limit, TOO_MANY).await,
            Err(End::Paused) => wait_for_resume(&parts).await,
        };
        if paused.is_err() {
            return;
        }
    }
}

const RESUME: &str = "then `rollcall projection resume`";
const TOO_MANY: &str = "too many users had to be parked in a short span: nothing more is folded. Look at `rollcall dead-letters list`, \
    put right what is wrong, then `rollcall projection resume`";

/// Pauses all projectors, so that no restart and no other instance goes on where a person is needed.
async fn halted(parts: &Parts, by: By, reason: &str) -> Result<(), End> {
    tracing::error!(reason, "the projector has stopped");
    parts.state.send_replace(State::Stopped(reason.to_owned()));
    parts.stop.retry("pausing the projectors", async || pause::write(&parts.pool, by, reason).await).await?;
    wait_for_resume(parts).await
}

async fn wait_for_resume(parts: &Parts) -> Result<(), End> {
    let Parts { pool, state, stop, .. } = parts;
    while let Some(pause) = stop.retry("asking for a pause", async || pause::read(pool).await).await? {
        let stopped = State::Stopped(format!("paused by {}: {}", pause.by, pause.reason));
        if state.send_replace(stopped.clone()) != stopped {
            tracing::warn!(reason = pause.reason, by = pause.by, "the projector is paused");
        }
        stop.unless(tokio::time::sleep(ASK_AGAIN)).await?;
    }
    state.send_replace(State::Starting);
    tracing::info!("the projector goes on");
    Ok(())
}

async fn work(parts: Parts) -> Result<(), End> {
    let Parts { settings, pool, keys, link, shared, state, stop } = parts;
    stop.retry("preparing topics and read model", async || migrate::migrate(&settings).await).await?;
    if stop.retry("asking for a pause", async || pause::read(&pool).await).await?.is_some() {
        return Err(End::Paused);
    }
    let partitions = stop.retry("asking for the topics", async || ask::partitions(&settings).await).await?;
    let live = stop.retry("asking for the live generation", async || live(&pool).await).await?;
    let started = stop
        .retry("making the log's consumer", async || Consumer::start(&settings, partitions, shared.clone()));
    let consumer = started.await?;
    let identity = stop.retry("making a client of Kafka", async || LogIdentity::new(&settings)).await?;
    state.send_replace(State::Running);
    tracing::info!(generation = live, partitions, "the projector is at work");
    let mut projector = Projector {
        store: Store::new(pool, live, Announce::Yes, keys),
        stop,
        shared,
        consumer,
        identity,
        cache: Cache::new(&settings.topic_prefix, live, link),
        epochs: Epochs::default(),
        owned: BTreeMap::new(),
        times: BTreeMap::new(),
        partitions,
        discarded: Discarded::default(),
        vacuum: Vacuum::default(),
        one_by_one: BTreeMap::new(),
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
        while !batch.is_full() && !self.is_one_by_one() {
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
            batch.push(self.discarded.hide(record), *next);
        }
    }

    /// Whether records are folded one by one until a span is through that was refused.
    fn is_one_by_one(&self) -> bool {
        self.one_by_one.iter().any(|(partition, to)| self.owned.get(partition).is_some_and(|next| next < to))
    }

    async fn assigned(
        &mut self,
        partitions: BTreeMap<Partition, Ends>,
        reply: oneshot::Sender<BTreeMap<Partition, i64>>,
    ) -> Result<(), End> {
        // It may have changed while nothing was ours.
        self.follow_live().await?;
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
        if !is_same_log(&self.stop, &mut self.identity, &self.store).await? {
            return self.another_log().await;
        }
        check_ends(&offsets, &partitions)?;
        self.cache.taken_over(taken.checkpoints.iter().filter_map(|((topic, partition), checkpoint)| {
            (*topic == Topic::Users).then_some((*partition, checkpoint.turn))
        }));
        let (pool, generation) = (&self.store.pool, self.store.generation);
        self.discarded = stop
            .retry("asking for discarded records", async || Discarded::load(pool, generation, &offsets).await)
            .await?;
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
        let spare = self.is_one_by_one().then(|| batch.clone());
        let marks: Marks = keys(batch.marks());
        let load = self.stop.retry("loading states", async || self.store.load(&batch).await);
        let is_same = is_same_log(&self.stop, &mut self.identity, &self.store);
        let (states, seen, is_same) = tokio::join!(load, self.cache.mark(&marks), is_same);
        let states = states?;
        if !is_same? {
            return self.another_log().await;
        }
        fault::point("fold.loaded");
        let mut effects = batch.fold(states);
        metrics::FOLD_SECONDS.observe(started.elapsed().as_secs_f64());
        if !self.may_be_parked(&effects).await? {
            return self.too_many(&effects);
        }
        let from = self.cache.leases.commit_from(seen.as_ref().map(|seen| seen.run.as_str()), Instant::now());
        if from > Instant::now() {
            self.stop.unless(tokio::time::sleep_until(from.into())).await?;
        }
        fault::point("fold.marked");
        let committing = Instant::now();
        let cached = if seen.is_some() { Cached::Marked } else { Cached::Unknown };
        match self.commit(&mut effects, cached).await? {
            Fate::Committed => {
                fault::point("fold.committed");
                metrics::COMMIT_SECONDS.observe(committing.elapsed().as_secs_f64());
                self.committed(&effects, records);
                let is_left = self.vacuum.erased(&effects) && self.store.keys.is_apart();
                self.cache.write(effects, seen.as_ref());
                if is_left { self.work_off().await } else { Ok(()) }
            }
            Fate::Open => self.refused(effects, spare).await,
            Fate::Lost => self.lost().await,
        }
    }

    /// Postgres refuses the data of a batch and will do so again. Its records are read again and folded one by one; the one that is
    /// refused by itself is set aside.
    async fn refused(&mut self, effects: Effects, spare: Option<Batch>) -> Result<(), End> {
        if let Some(alone) = spare.and_then(|batch| batch.poisoned(REFUSED)) {
            return Box::pin(self.project(alone)).await;
        }
        self.read_one_by_one(&effects);
        Ok(())
    }

    async fn may_be_parked(&self, effects: &Effects) -> Result<bool, End> {
        let pool = &self.store.pool;
        self.stop
            .retry("asking how many were parked", async || park::may_be_parked(pool, effects).await)
            .await
    }

    /// A batch would park more users than may be. As many as may be are parked all the same, one by one: so each resume gets on, however many
    /// there are in a batch.
    fn too_many(&mut self, effects: &Effects) -> Result<(), End> {
        if self.is_one_by_one() {
            return Err(End::TooManyParked);
        }
        self.read_one_by_one(effects);
        Ok(())
    }

    /// Reads the records of a batch again, to fold each by itself.
    fn read_one_by_one(&mut self, effects: &Effects) {
        let spans = effects.spans.iter().map(|(partition, span)| (*partition, span.next));
        self.one_by_one.extend(spans);
        self.own(BTreeMap::new());
        self.consumer.reassign();
    }

    /// Commits; where the answer is lost or an error, the checkpoints say what became of it.
    async fn commit(&mut self, effects: &mut Effects, cached: Cached) -> Result<Fate, End> {
        let mut pause = Duration::from_millis(50);
        loop {
            fault::point_soon("fold.committing");
            let Err(error) = answered(ANSWER, self.store.commit(effects, &self.epochs, cached)).await else {
                return Ok(Fate::Committed);
            };
            // Never the error's own text: it may repeat a row.
            let code = postgres::code(&error);
            metrics::FENCED.inc_by(u64::from(code == FENCED));
            tracing::warn!(code, "a batch was not committed, or the answer was lost");
            let fate = self.stop.retry("asking what became of a commit", async || {
                self.epochs.fate(&self.store.pool, self.store.generation, &effects.spans).await
            });
            match fate.await? {
                Fate::Open if postgres::is_data_refused(&error) => return Ok(Fate::Open),
                Fate::Open => self.stop.unless(tokio::time::sleep(pause)).await?,
                fate @ (Fate::Committed | Fate::Lost) => return Ok(fate),
            }
            pause = (pause * 2).min(Duration::from_secs(1));
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
        if self.follow_live().await? {
            self.consumer.reassign();
        } else {
            tracing::warn!("partitions were taken over by another instance; joining the group again");
            self.consumer.rejoin();
        }
        Ok(())
    }

    /// The log is not that of our generation: another generation may be of it, else a person must say what is to become of it.
    async fn another_log(&mut self) -> Result<(), End> {
        self.own(BTreeMap::new());
        if !self.follow_live().await? {
            return Err(log_identity::is_another().into());
        }
        self.consumer.rejoin();
        Ok(())
    }

    /// Goes on with the generation that is live; whether that is another one.
    async fn follow_live(&mut self) -> Result<bool, End> {
        let (stop, pool) = (&self.stop, &self.store.pool);
        let live = stop.retry("asking for the live generation", async || live(pool).await).await?;
        if live == self.store.generation {
            return Ok(false);
        }
        tracing::info!(generation = live, "another generation is live");
        self.store = Store::new(pool.clone(), live, Announce::Yes, self.store.keys.clone());
        self.epochs.clear();
        self.cache.switch(live);
        Ok(true)
    }

    /// Another log is noticed here also while nothing comes from it. Where Kafka does not say at once, whoever folds will ask.
    async fn look_at_log(&mut self) -> Result<(), End> {
        if self.owned.is_empty() || !self.shared.is_up.load(Ordering::Relaxed) {
            return Ok(());
        }
        let asked = self.identity.is_log_of(&self.store.pool, self.store.generation);
        match self.stop.unless(tokio::time::timeout(LOOK, asked)).await? {
            Ok(Ok(false)) => self.another_log().await,
            _ => Ok(()),
        }
    }

    /// Proves that the partitions are still ours, and renews their leases on that ground.
    async fn renew(&mut self) -> Result<(), End> {
        self.show_lag();
        self.look_at_log().await?;
        let seen = self.cache.mark(&Marks::new()).await;
        let hold = self.epochs.hold(&self.store.pool, self.store.generation, self.owned.keys());
        match self.stop.unless(answered(ANSWER, hold)).await? {
            Ok(held) if held.is_paused => return Err(End::Paused),
            Ok(held) if held.are_ours => {
                self.cache.renew(&self.positions(), seen.as_ref()).await;
                if held.is_asked {
                    self.settle_requests().await?;
                }
                if held.is_erasing {
                    self.work_off().await?;
                } else {
                    // Another instance may have done the last of it.
                    metrics::ERASURES_PENDING.set(0);
                }
                self.vacuum.when_due(&self.store.pool);
            }
            Ok(_) => self.lost().await?,
            Err(error) => tracing::warn!(%error, "the fence can't be checked; leases are not renewed"),
        }
        Ok(())
    }

    /// Does what is left of erasures. Where it can't be done now it is tried again with the next renewal.
    async fn work_off(&mut self) -> Result<(), End> {
        let owned = self.positions().into_keys().collect();
        let work = erasures::work_off(&self.store, &mut self.cache, &owned, self.partitions);
        match self.stop.unless(work).await? {
            Ok(left) => metrics::ERASURES_PENDING.set(left),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "an erasure is not done yet"),
        }
        Ok(())
    }

    /// Does what operators ask for with the dead letters of our partitions.
    async fn settle_requests(&mut self) -> Result<(), End> {
        let pool = &self.store.pool;
        let open = self.stop.unless(answered(ANSWER, requests::open(pool, self.owned.keys()))).await?;
        for request in open.unwrap_or_default() {
            if !self.settle(&request).await? {
                // It may have been committed all the same: the checkpoints say, and with them at which turn the cache stands.
                self.own(BTreeMap::new());
                self.consumer.reassign();
                break;
            }
        }
        Ok(())
    }

    async fn settle(&mut self, request: &Request) -> Result<bool, End> {
        let Some(at) = self.owned.get(&(Topic::Users, request.partition)).copied() else { return Ok(true) };
        let standing = Standing { partition: request.partition, at, partitions: self.partitions };
        let hands =
            Hands { store: &self.store, epochs: &self.epochs, cache: &mut self.cache, stop: &self.stop };
        match settle::settle(hands, request, standing).await? {
            Ok(is_settled) => Ok(is_settled),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a request about dead letters was not done yet");
                Ok(false)
            }
        }
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

/// Whether the log that is there is the one that was folded; until Kafka says, nothing that was read has an effect.
async fn is_same_log(stop: &Stop, identity: &mut LogIdentity, store: &Store) -> Result<bool, End> {
    stop.retry("asking which log is there", async || identity.is_log_of(&store.pool, store.generation).await)
        .await
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
