//! The service as a whole: what it starts, mounts and stops.

use crate::{
    contract, routes,
    store::{Link, Reader, Store, check_redis},
};
use actix_web::web::{Data, ServiceConfig};
use anyhow::Context as _;
use read_model::projection_position::ProjectionPosition;
use service_kit::{
    analytics::Recorder, auth::Authenticator, health::Health, operation::Frame, settings::Settings,
};
use std::{sync::Arc, time::Duration};

/// What every operation of this service uses; one per worker.
pub(crate) struct Queries {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) projection: ProjectionPosition,
    /// How long a read waits for the position that it names.
    pub(crate) patience: Duration,
}

/// The running service. Cheap to clone.
#[derive(Clone)]
pub struct App {
    authenticator: Arc<Authenticator>,
    recorder: Recorder,
    store: Store,
    redis: redis::Client,
    projection: ProjectionPosition,
    patience: Duration,
}

/// Starts the service; Postgres and Redis need not be there yet.
///
/// # Errors
/// A setting is missing or can't be read.
pub async fn start(
    settings: &Settings,
    recorder: Recorder,
    authenticator: Arc<Authenticator>,
    health: &Health,
) -> anyhow::Result<App> {
    // The client's own words could repeat a part of the URL, which holds a password.
    let redis = redis::Client::open(settings.redis_url()?)
        .map_err(|error| anyhow::anyhow!("{:?}", error.kind()))
        .context("REDIS_URL: must be a redis:// URL")?;
    let store = Store::open(settings)?;
    let projection = ProjectionPosition::start(store.pool().clone());
    watch(health, &store, &redis);
    projection.add_health_check(health);
    Ok(App { authenticator, recorder, store, redis, projection, patience: settings.visibility_timeout })
}

/// Without Redis reads go on, only slower; without Postgres few do.
fn watch(health: &Health, store: &Store, redis: &redis::Client) {
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
    /// Mounts the operations; called once per worker, on the worker's own thread.
    ///
    /// The worker gets a Redis connection of its own, so that no read has to wake another thread.
    pub fn configure(&self, config: &mut ServiceConfig) {
        let queries = Queries {
            frame: Frame { authenticator: self.authenticator.clone(), recorder: self.recorder.clone() },
            reader: self.store.reader(Link::start(self.redis.clone())),
            projection: self.projection.clone(),
            patience: self.patience,
        };
        routes::mount(config, &Data::new(queries));
        contract::mount(config);
    }

    /// Lets go of the stores. No request may be left.
    pub async fn stop(&self) {
        self.store.close().await;
    }
}
