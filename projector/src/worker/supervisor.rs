//! Restarts the work whenever it ends, and pauses the projectors when an operator is needed.

use super::{Worker, repairs::Repairs};
use crate::{
    health::ProjectorState,
    metrics, migrate, panics,
    pipeline::{
        Discarded, Pipeline, RememberedUsers,
        assignment::open_live,
        consume::{Consumer, ConsumerState},
    },
    stop::{Interrupt, StopSignal},
};
use event_log::{
    Halt,
    identity::{self, LogIdentity},
    log_ends,
};
use futures_util::FutureExt as _;
use key_store::Keys;
use privacy::Vacuum;
use read_model::{
    operate::pause::{self, Pause, PausedBy},
    redis_connection::RedisConnection,
    write::{Cache, ownership::Epochs},
};
use service_kit::{database::answered, errors::describe_error, settings::Settings};
use sqlx::PgPool;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::watch;

/// How often the database is asked whether a pause has ended.
const PAUSE_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long releasing the partitions may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

const INCONSISTENT: &str = "the tables of the read model contradict themselves, so a batch can't be committed; nothing was set aside";
const REBUILD: &str =
    "Run `rollcall projection rebuild --promote --unverified`, which folds the log into new tables";
const RESUME: &str = "then `rollcall projection resume`";
const PANICKED: &str =
    "the code panicked, which is a bug: the log says where, and folding starts again from what is committed";
const TOO_MANY: &str = "too many users had to be parked in a short time, so folding has stopped. Look at `rollcall dead-letters list`, \
    fix the cause, then `rollcall projection resume`";

/// What the work is started with.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) pool: PgPool,
    pub(crate) keys: Keys,
    pub(crate) redis: RedisConnection,
    pub(crate) consumer: ConsumerState,
    pub(crate) state: watch::Sender<ProjectorState>,
    pub(crate) stop: StopSignal,
}

/// Works until a stop is requested. If an operator is needed, pauses the projectors and waits until
/// they are resumed.
pub(crate) async fn supervise(parts: Parts) {
    loop {
        let ended = panics::catch(work(parts.clone()).boxed_local()).await;
        let interrupt = match ended.unwrap_or(Err(Interrupt::Panicked)) {
            Ok(()) | Err(Interrupt::Stopping) => return,
            Err(interrupt) => interrupt,
        };
        let handled = match interrupt {
            Interrupt::Stopping => return,
            Interrupt::ConsumerEnded => {
                tracing::error!("the log's consumer ended, starting another one");
                Ok(())
            }
            Interrupt::Panicked => {
                parts.state.send_replace(ProjectorState::Stopped(PANICKED.to_owned()));
                panics::pause(&parts.stop).await
            }
            Interrupt::LogReplaced => {
                tracing::info!("a generation of another log is live");
                Ok(())
            }
            Interrupt::Inconsistent(reason) => {
                let reason = format!("{INCONSISTENT} ({reason}). {REBUILD}, {RESUME}");
                pause_all(&parts, PausedBy::ReadModel, &reason).await
            }
            Interrupt::Halt(halt) => pause_all(&parts, PausedBy::Log, &halt.to_string()).await,
            Interrupt::TooManyParked => pause_all(&parts, PausedBy::Limit, TOO_MANY).await,
            Interrupt::Paused => wait_for_resume(&parts).await,
        };
        if handled.is_err() {
            return;
        }
    }
}

/// Pauses all projectors, so that neither a restart nor another instance continues without an
/// operator.
async fn pause_all(parts: &Parts, by: PausedBy, reason: &str) -> Result<(), Interrupt> {
    tracing::error!(reason, "the projector has stopped");
    parts.state.send_replace(ProjectorState::Stopped(reason.to_owned()));
    parts.stop.retry("pausing the projectors", async || pause::insert(&parts.pool, by, reason).await).await?;
    wait_for_resume(parts).await
}

async fn wait_for_resume(parts: &Parts) -> Result<(), Interrupt> {
    let Parts { pool, state, stop, .. } = parts;
    while let Some(pause) = stop.retry("asking for a pause", async || pause::find(pool).await).await? {
        let stopped = ProjectorState::Stopped(format!("paused by {}: {}", pause.by, pause.reason));
        if state.send_replace(stopped.clone()) != stopped {
            tracing::warn!(reason = pause.reason, by = pause.by, "the projector is paused");
        }
        stop.run_until_stopped(tokio::time::sleep(PAUSE_POLL_INTERVAL)).await?;
    }
    state.send_replace(ProjectorState::Starting);
    tracing::info!("the projector is resumed");
    Ok(())
}

async fn work(parts: Parts) -> Result<(), Interrupt> {
    prepare(&parts.settings, &parts.stop).await?;
    let is_paused = async || pause::find(&parts.pool).await;
    if let Some(pause) = parts.stop.retry("asking for a pause", is_paused).await? {
        update_reason(&parts, &pause).await;
        return Err(Interrupt::Paused);
    }
    let state = parts.state.clone();
    let mut worker = start(parts).await?;
    state.send_replace(ProjectorState::Running);
    tracing::info!(
        generation = worker.pipeline.store.generation,
        partitions = worker.pipeline.partition_count,
        "the projector is running"
    );
    worker.pipeline.cache.unlink_others();
    // The partitions are given up after a panic, too: this consumer must not go on beside the next.
    let ended = panics::catch(worker.run()).await.unwrap_or(Err(Interrupt::Panicked));
    release(worker).await;
    ended
}

/// The log may have changed since the pause, for example because the operator followed the advice
/// in its reason. Then the reason says what is to be done now.
async fn update_reason(parts: &Parts, pause: &Pause) {
    let Err(error) = identity::check_log(&parts.settings).await else { return };
    let Some(halt) = error.downcast_ref::<Halt>() else { return };
    if let Err(error) = pause::update_reason(&parts.pool, PausedBy::Log, &halt.to_string()).await {
        tracing::warn!(error = describe_error(&error), was = pause.reason, "the pause keeps its old reason");
    }
}

/// Creates topics and tables. A fault that needs an operator is not tried again.
async fn prepare(settings: &Settings, stop: &StopSignal) -> Result<(), Interrupt> {
    let prepared =
        stop.retry("preparing topics and read model", async || match migrate::migrate(settings).await {
            Ok(_) => Ok(Ok(())),
            Err(error) => error.downcast::<Halt>().map(Err),
        });
    prepared.await??;
    Ok(())
}

async fn start(parts: Parts) -> Result<Worker, Interrupt> {
    let Parts { settings, pool, keys, redis, consumer: shared, stop, .. } = parts;
    let partition_count =
        stop.retry("asking for the topics", async || log_ends::partitions(&settings).await).await?;
    let store = open_live(&stop, &pool, &keys).await?;
    let consumer = stop
        .retry("starting the log's consumer", async || {
            Consumer::start(&settings, partition_count, shared.clone())
        })
        .await?;
    let identity = stop.retry("creating a Kafka client", async || LogIdentity::new(&settings)).await?;
    let pipeline = Pipeline {
        cache: Cache::new(&settings.topic_prefix, store.generation, redis, metrics::REDIS_FAILURES.clone()),
        store,
        stop,
        consumer: shared,
        identity,
        epochs: Epochs::default(),
        owned: BTreeMap::new(),
        remembered: RememberedUsers::default(),
        record_times: BTreeMap::new(),
        partition_count,
        discarded: Discarded::default(),
        vacuum: Vacuum::default(),
        last_batch: 0,
        one_by_one: BTreeMap::new(),
    };
    Ok(Worker { pipeline, consumer, repairs: Repairs::new(settings) })
}

/// Gives the partitions up and leaves the group.
async fn release(Worker { pipeline, consumer, .. }: Worker) {
    // Operators are shown the owner. If this fails, they see the last one.
    let release = pipeline.epochs.release(&pipeline.store.pool, pipeline.store.generation);
    let _ = answered(RELEASE_TIMEOUT, release).await;
    consumer.stop().await;
    // The consumer has committed these offsets to Kafka when it stopped.
    pipeline.consumer.folded().clear();
    pipeline.owned.into_keys().for_each(metrics::hide);
}
