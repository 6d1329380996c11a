//! Writes: create, update and delete. Each appends one event to the log.
//!
//! The pipeline of a write is in `write`; the operations that use it are in `routes`.

mod batcher;
mod ids;
pub mod import;
mod keys;
mod log;
mod metrics;
mod problems;
mod representation;
mod request_body;
mod request_headers;
mod routes;
mod write;

pub use routes::fallbacks;

use actix_web::web::{Data, ServiceConfig};
use event_log::identity_watch::{IdentityCheck, IdentityWatch};
use futures_util::{FutureExt as _, future::BoxFuture};
use key_store::{KeyCache, Keys};
use keys::DataKeys;
use log::Log;
use read_model::{
    generation::check_live, projection_position::ProjectionPosition, read::user_before_write::HEALTH_CHECK,
};
use routes::Service;
use service_kit::{
    analytics::Recorder,
    auth::Authenticator,
    database::{self, Role},
    health::Health,
    operation::OperationContext,
    settings::Settings,
};
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;
use write::{
    Projection, UserLocks, Users, Writer,
    resolve::{EventLookup, FollowUps, UnconfirmedAppends},
};

/// Queries before a write are short, so few connections serve many writers.
const CONNECTIONS: u32 = 12;
/// Most keys are in memory already, or are created in batches.
const KEY_CONNECTIONS: u32 = 4;
/// How long the shutdown waits for records in flight.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The running service. Cheap to clone.
#[derive(Clone)]
pub struct App {
    service: Data<Service>,
}

/// Starts the service. Kafka and Postgres need not be available yet; `health` reports when they
/// are. The services of a process share `key_cache` and `position`.
///
/// # Errors
/// A setting is missing or invalid, the key store belongs to another deployment, or a newer release
/// has made the live generation.
pub fn start<'a>(
    settings: &'a Settings,
    recorder: Recorder,
    authenticator: Arc<Authenticator>,
    key_cache: &'a KeyCache,
    position: &'a ProjectionPosition,
    health: &'a Health,
) -> BoxFuture<'a, anyhow::Result<App>> {
    // Boxed, so that all of the service is compiled in this crate and not again in each program.
    try_start(settings, recorder, authenticator, key_cache, position, health).boxed()
}

async fn try_start(
    settings: &Settings,
    recorder: Recorder,
    authenticator: Arc<Authenticator>,
    key_cache: &KeyCache,
    position: &ProjectionPosition,
    health: &Health,
) -> anyhow::Result<App> {
    metrics::register();
    let pool = database::by_key(database::pool(settings.database_url()?, Role::Reader, CONNECTIONS)?);
    check_live(&pool).await?;
    let log = Arc::new(Log::users(settings)?);
    let log_watch = IdentityWatch::start(IdentityCheck::new(settings, pool.clone())?);
    add_health_checks(settings, health, position, &log, &log_watch)?;
    let projection = Projection::new(position.clone(), settings.visibility_timeout);
    let follow_ups = FollowUps::new(projection.clone(), pool.clone());
    let lookup = EventLookup::new(settings)?;
    let unconfirmed = UnconfirmedAppends::start(
        log.clone(),
        log_watch.clone(),
        projection.clone(),
        follow_ups.clone(),
        lookup,
    );
    let keys = Keys::start(settings, KEY_CONNECTIONS, key_cache).await?;
    keys::origins::check_binding(&pool, &keys).await?;
    keys.watch(health);
    let data_keys = DataKeys::new(keys.clone(), pool.clone());
    let (users, locks) = (Users::new(pool), UserLocks::default());
    let writer =
        Writer { log, log_watch, users, keys, data_keys, projection, locks, follow_ups, unconfirmed };
    let context = OperationContext { authenticator, recorder };
    let service = Service { context, writer: Arc::new(writer), runtime: Handle::current() };
    Ok(App { service: Data::new(service) })
}

impl App {
    /// Mounts the operations.
    pub fn configure(&self, config: &mut ServiceConfig) {
        routes::configure(&self.service, config);
    }

    /// Shuts down: waits a limited time for records in flight, then gives up unconfirmed appends.
    pub async fn stop(&self) {
        self.service.writer.log.clone().flush(FLUSH_TIMEOUT).await;
        self.service.writer.unconfirmed.stop().await;
        self.service.writer.keys.stop().await;
    }
}

fn add_health_checks(
    settings: &Settings,
    health: &Health,
    position: &ProjectionPosition,
    log: &Arc<Log>,
    log_watch: &IdentityWatch,
) -> anyhow::Result<()> {
    let (log, log_watch) = (log.clone(), log_watch.clone());
    health.add("kafka", move || check_log(log.clone(), log_watch.clone()).boxed());
    health.add_postgres("postgres", settings.database_url()?, Some(HEALTH_CHECK))?;
    position.add_health_check(health);
    Ok(())
}

async fn check_log(log: Arc<Log>, log_watch: IdentityWatch) -> Result<(), String> {
    if log_watch.is_replaced() {
        return Err(
            "the log is not the one that was folded: writes are refused until an operator decides which log counts"
                .to_owned(),
        );
    }
    log.check().await
}
