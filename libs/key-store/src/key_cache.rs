//! The cache of a process. All services in it share the cache and its lease, so that what one of
//! them has found, the others need not look up.

use super::{ANSWER_TIMEOUT, Keys, cache::Cache, cache_lease};
use service_kit::{
    database::{self, Role},
    settings::Settings,
};
use std::sync::Arc;
use tokio::sync::watch;

/// The cached keys of a process. Cheap to clone.
#[derive(Clone)]
pub struct KeyCache {
    pub(super) cache: Arc<Cache>,
    stop: Arc<watch::Sender<bool>>,
}

impl KeyCache {
    /// Starts the cache. Nothing is cached while its lease can't be stored.
    ///
    /// # Errors
    /// A setting is missing or invalid.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let started = Self::unused();
        let pool = database::by_key(database::pool(Keys::url(settings)?, Role::Keys, 1)?);
        tokio::spawn(cache_lease::run(Arc::downgrade(&started.cache), pool, started.stop.subscribe()));
        Ok(started)
    }

    /// A cache without a lease, in which nothing is ever kept.
    pub(super) fn unused() -> Self {
        Self { cache: Arc::default(), stop: Arc::new(watch::Sender::new(false)) }
    }

    /// Clears the cache and removes its lease, so that nobody waits for this process. Services that
    /// still run read their keys from the store.
    pub(super) async fn stop(&self) {
        self.cache.clear();
        self.stop.send_replace(true);
        // Bounded by the store's timeouts. A process that is gone is not waited for longer than a
        // lease.
        let _ = tokio::time::timeout(ANSWER_TIMEOUT, self.stop.closed()).await;
    }
}
