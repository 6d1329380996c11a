//! Starts, mounts and stops the service.

use crate::{
    contract::Contract,
    reference, routes,
    state::State,
    store::{RedisConnection, Store, check_redis},
};
use actix_web::web::{Data, ServiceConfig};
use anyhow::Context as _;
use futures_util::{FutureExt as _, future::BoxFuture};
use read_model::{generation::check_live, projection_position::ProjectionPosition};
use service_kit::{
    analytics::Recorder, auth::Authenticator, health::Health, operation::OperationContext, settings::Settings,
};
use std::{sync::Arc, time::Duration};

/// The running service. Cheap to clone.
#[derive(Clone)]
pub struct App {
    authenticator: Arc<Authenticator>,
    recorder: Recorder,
    store: Store,
    redis: redis::Client,
    projection: ProjectionPosition,
    wait_timeout: Duration,
    contract: Contract,
}

/// Starts the service. PostgreSQL and Redis need not be up yet. The services of a process share
/// `position`.
///
/// # Errors
/// A setting is missing or invalid, or a newer release has made the live generation.
pub fn start<'a>(
    settings: &'a Settings,
    recorder: Recorder,
    authenticator: Arc<Authenticator>,
    position: &'a ProjectionPosition,
    health: &'a Health,
) -> BoxFuture<'a, anyhow::Result<App>> {
    // Boxed, so that all of the service is compiled in this crate and not again in each program.
    try_start(settings, recorder, authenticator, position, health).boxed()
}

async fn try_start(
    settings: &Settings,
    recorder: Recorder,
    authenticator: Arc<Authenticator>,
    position: &ProjectionPosition,
    health: &Health,
) -> anyhow::Result<App> {
    // The client's own message could repeat a part of the URL, which may hold a password.
    let redis = redis::Client::open(settings.redis_url()?)
        .map_err(|error| anyhow::anyhow!("{:?}", error.kind()))
        .context("REDIS_URL: must be a redis:// URL")?;
    let store = Store::open(settings)?;
    check_live(store.pool()).await?;
    add_health_checks(health, &store, &redis);
    position.add_health_check(health);
    let wait_timeout = settings.visibility_timeout;
    let contract = Contract::new(settings);
    Ok(App { authenticator, recorder, store, redis, projection: position.clone(), wait_timeout, contract })
}

/// Redis is optional: without it reads only become slower.
fn add_health_checks(health: &Health, store: &Store, redis: &redis::Client) {
    let (store, redis) = (store.clone(), redis.clone());
    health.add("postgres", move || {
        let store = store.clone();
        Box::pin(async move { store.check().await })
    });
    health.add_optional("redis", move || {
        let redis = redis.clone();
        Box::pin(async move { check_redis(&redis).await })
    });
}

impl App {
    /// Mounts the operations. Called once per worker, on the worker's thread.
    ///
    /// Each worker gets its own Redis connection, so that no read has to wake another thread.
    pub fn configure(&self, config: &mut ServiceConfig) {
        let state = State {
            context: OperationContext {
                authenticator: self.authenticator.clone(),
                recorder: self.recorder.clone(),
            },
            reader: self.store.reader(RedisConnection::start(self.redis.clone())),
            projection: self.projection.clone(),
            wait_timeout: self.wait_timeout,
        };
        routes::mount(config, &Data::new(state));
        self.contract.mount(config);
        reference::mount(config);
    }

    /// Closes connections. No request may be running.
    pub async fn stop(&self) {
        self.store.close().await;
    }
}
