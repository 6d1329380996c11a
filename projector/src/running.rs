//! Starting and stopping. The pipeline has a thread and a runtime of its own, so that no request
//! delays it.

use crate::{
    analytics, dead_letter_counts, generation,
    health::{self, ProjectorState, Sources},
    health_note::HealthNote,
    log_watch::LogWatch,
    metrics, migrate, own_thread,
    pipeline::consume::ConsumerState,
    projections,
    stop::StopSignal,
    worker::{Parts, supervise},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use key_store::{KeyCache, Keys};
use privacy::sweep_periodically;
use read_model::{projection_position::ProjectionPosition, redis_connection::RedisConnection, write::probe};
use service_kit::{
    database::{self, Role},
    errors::describe_error,
    health::Health,
    settings::Settings,
};
use tokio::sync::{oneshot, watch};

/// One connection for the keys of a batch, one for background tasks.
const KEY_CONNECTIONS: u32 = 2;

/// The running projector. It ends if this value is dropped.
pub struct Running {
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
    analytics: analytics::Running,
}

/// Starts the pipeline and the analytics. Kafka and PostgreSQL don't have to be reachable yet: the
/// projector retries until they are. It works without Redis. The services of a process share
/// `key_cache` and `position`.
///
/// # Errors
/// A setting is missing or invalid.
pub fn start<'a>(
    settings: &'a Settings,
    key_cache: &'a KeyCache,
    position: &'a ProjectionPosition,
    health: &'a Health,
) -> BoxFuture<'a, anyhow::Result<Running>> {
    // Boxed, so that the projector is compiled once in this crate and not again in each program.
    try_start(settings, key_cache, position, health).boxed()
}

async fn try_start(
    settings: &Settings,
    key_cache: &KeyCache,
    position: &ProjectionPosition,
    health: &Health,
) -> anyhow::Result<Running> {
    settings.kafka_brokers()?;
    let client = RedisConnection::client(settings.redis_url()?)?;
    let consumer = ConsumerState::default();
    let (state, watched) = watch::channel(ProjectorState::Starting);
    let (sender, stop) = StopSignal::new();
    health.add_postgres("postgres", settings.database_url()?, None)?;
    probe::watch(health, &client, &settings.topic_prefix);
    let counted = dead_letter_counts::Counted::default();
    let sources = Sources { consumer: consumer.clone(), dead_letters: counted.clone(), state: watched };
    health::register(health, sources);
    let counting = database::pool(settings.database_url()?, Role::Reader, 1)?;
    let keys = Keys::open(settings)?;
    keys.check_if_reachable().await?;
    migrate::try_out(settings, &keys).await?;
    keys.watch(health);
    let fold_note = HealthNote::register(health, "generation");
    let projections_note = HealthNote::register(health, "projections");
    let watch = LogWatch::default();
    watch.register(health);
    let (settings, key_cache) = (settings.clone(), key_cache.clone());
    let analytics = analytics::start(&settings, position.clone())?;
    let ended = on_own_thread(async move || {
        // Both spawn tasks, so they are created inside the runtime that runs them.
        let pool = read_model::pool(&settings)?;
        let keys = Keys::start(&settings, KEY_CONNECTIONS, &key_cache).await?;
        tokio::spawn(dead_letter_counts::watch(counting.clone(), counted));
        tokio::spawn(fold_note.watch(counting.clone(), read_model::generation::older_fold));
        tokio::spawn(projections_note.watch(counting, projections::failures_note));
        tokio::spawn(sweep_periodically(settings.clone(), keys.clone(), metrics::show_sweep));
        tokio::spawn(watch.run(settings.clone()));
        generation::start_following(settings.clone(), keys.clone(), stop.clone())?;
        projections::start_following(&settings, &keys, &stop)?;
        let redis = RedisConnection::start(client);
        supervise(Parts { settings, pool, keys: keys.clone(), redis, consumer, state, stop }).await;
        keys.stop().await;
        anyhow::Ok(())
    })?;
    Ok(Running { stop: sender, ended, analytics })
}

/// Starts the work on a thread of its own. The receiver resolves when it has ended.
fn on_own_thread(
    work: impl AsyncFnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<oneshot::Receiver<()>> {
    let (done, ended) = oneshot::channel();
    own_thread::spawn("projector-fold", async move || {
        if let Err(error) = work().await {
            let error = describe_error(error.as_ref());
            tracing::error!(error, "the projector could not start");
        }
        // Nobody may be waiting.
        let _ = done.send(());
    })?;
    Ok(ended)
}

impl Running {
    /// Stops between two batches and leaves the group.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.ended.await;
        self.analytics.stop().await;
    }
}
