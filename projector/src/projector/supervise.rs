//! Work until it is asked to stop, whatever ends on the way.

use super::Projector;
use crate::{
    dead_letters::discarded::Discarded,
    generation,
    log::{Consumer, Shared},
    metrics, migrate,
    pause::{self, By},
    state::{End, State, Stop},
};
use anyhow::Context as _;
use event_log::{Halt, identity::LogIdentity, log_ends};
use key_store::Keys;
use privacy::Vacuum;
use read_model::{
    link::Link,
    write::{Cache, Mode, Store, fence::Epochs},
};
use service_kit::{database::answered, settings::Settings};
use sqlx::PgPool;
use std::{collections::BTreeMap, sync::PoisonError, time::Duration};
use tokio::sync::watch;

/// How often it is asked whether the work may go on.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// For the word that the partitions are nobody's any more.
const RELEASE: Duration = Duration::from_secs(1);

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

/// Works until it is asked to stop. Where a person is needed the projectors are paused, and go on once that is taken back.
pub(crate) async fn supervise(parts: Parts) {
    loop {
        let paused = match work(parts.clone()).await {
            Ok(()) | Err(End::Stopping) => return,
            Err(End::Broken) => {
                tracing::error!("the log's consumer ended; making another one");
                continue;
            }
            Err(End::Inconsistent(reason)) => {
                halted(&parts, By::ReadModel, &format!("{INCONSISTENT} ({reason}). {REBUILD}, {RESUME}"))
                    .await
            }
            Err(End::AnotherLog) => {
                tracing::info!("a generation of another log is live");
                continue;
            }
            Err(End::Halt(halt)) => halted(&parts, By::Log, &halt.to_string()).await,
            Err(End::TooManyParked) => halted(&parts, By::Limit, TOO_MANY).await,
            Err(End::Paused) => wait_for_resume(&parts).await,
        };
        if paused.is_err() {
            return;
        }
    }
}

const INCONSISTENT: &str = "the tables of the read model contradict themselves, so a batch can't be committed and nothing was set aside";
const REBUILD: &str = "Run `rollcall projection rebuild`, which folds the log into new tables";
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
    prepare(&settings, &stop).await?;
    if stop.retry("asking for a pause", async || pause::read(&pool).await).await?.is_some() {
        return Err(End::Paused);
    }
    let partitions =
        stop.retry("asking for the topics", async || log_ends::partitions(&settings).await).await?;
    let live = stop.retry("asking for the live generation", async || live(&pool).await).await?;
    let started = stop
        .retry("making the log's consumer", async || Consumer::start(&settings, partitions, shared.clone()));
    let consumer = started.await?;
    let identity = stop.retry("making a client of Kafka", async || LogIdentity::new(&settings)).await?;
    state.send_replace(State::Running);
    tracing::info!(generation = live, partitions, "the projector is at work");
    let mut projector = Projector {
        store: Store::new(pool, live, Mode::Live, keys),
        stop,
        shared,
        consumer,
        identity,
        cache: Cache::new(&settings.topic_prefix, live, link, metrics::REDIS_FAILURES.clone()),
        epochs: Epochs::default(),
        owned: BTreeMap::new(),
        times: BTreeMap::new(),
        partitions,
        discarded: Discarded::default(),
        vacuum: Vacuum::default(),
        one_by_one: BTreeMap::new(),
    };
    let ended = projector.run().await;
    // Only what operators are shown: where it fails, they see the owner that was.
    let release = projector.epochs.release(&projector.store.pool, projector.store.generation);
    let _ = answered(RELEASE, release).await;
    projector.consumer.stop().await;
    // Kafka was told before how far the fold has come.
    projector.shared.folded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    projector.owned.into_keys().for_each(metrics::hide);
    ended
}

/// Makes topics and read model. What only a person can put right is not tried again.
async fn prepare(settings: &Settings, stop: &Stop) -> Result<(), End> {
    let prepared =
        stop.retry("preparing topics and read model", async || match migrate::migrate(settings).await {
            Ok(_) => Ok(Ok(())),
            Err(error) => error.downcast::<Halt>().map(Err),
        });
    prepared.await??;
    Ok(())
}

pub(super) async fn live(pool: &PgPool) -> anyhow::Result<i32> {
    let mut connection = pool.acquire().await?;
    generation::live(&mut connection).await?.context("there is no live generation")
}
