//! How many searches of one tenant run at once. A tenant with many or slow searches waits for its
//! own, and the others find connections.

use events_schema::TenantId;
use prometheus::{IntCounter, register_int_counter};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Searches of one tenant at once: half of the connections.
pub(super) const PER_TENANT: usize = 3;
/// How long a search may wait for others of its tenant.
const PATIENCE: Duration = Duration::from_secs(1);
/// From so many tenants on, those without a search are forgotten.
const MANY_TENANTS: usize = 1_024;

/// Registration fails only if the name is taken; then nothing is counted.
static REFUSED: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    let help = "Searches that were answered 503, because other searches of their tenant took too long";
    register_int_counter!("rollcall_searches_refused_total", help).ok()
});

/// One semaphore for each tenant that searches. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct TenantPermits(Arc<Mutex<HashMap<TenantId, Arc<Semaphore>>>>);

impl TenantPermits {
    /// Without permits that are held. From now on, the counter of refusals is in the metrics.
    pub(super) fn new() -> Self {
        LazyLock::force(&REFUSED);
        Self::default()
    }

    /// Waits for a permit. `None` if the tenant's other searches take too long.
    pub(super) async fn acquire(&self, tenant: &TenantId) -> Option<OwnedSemaphorePermit> {
        let permit = self.semaphore(tenant).acquire_owned();
        let permit = timeout(PATIENCE, permit).await.ok().and_then(Result::ok);
        if permit.is_none() {
            REFUSED.iter().for_each(IntCounter::inc);
        }
        permit
    }

    fn semaphore(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = tenants.get(tenant) {
            return semaphore.clone();
        }
        if tenants.len() >= MANY_TENANTS {
            // A permit, and whoever waits for one, holds the semaphore too.
            tenants.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(PER_TENANT))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_tenant_waits_for_itself_alone() {
        let permits = TenantPermits::default();
        let mut held = Vec::new();
        for _ in 0..PER_TENANT {
            held.push(permits.acquire(&tenant("a")).await.unwrap());
        }
        assert!(permits.acquire(&tenant("a")).now_or_never().is_none(), "it waits");
        assert!(permits.acquire(&tenant("b")).now_or_never().flatten().is_some());
        held.pop();
        assert!(permits.acquire(&tenant("a")).now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn a_refusal_is_counted() {
        let (permits, refused) = (TenantPermits::new(), REFUSED.as_ref().unwrap());
        let mut held = Vec::new();
        for _ in 0..PER_TENANT {
            held.push(permits.acquire(&tenant("a")).await.unwrap());
        }
        assert_eq!(refused.get(), 0);
        assert!(permits.acquire(&tenant("a")).await.is_none());
        assert_eq!(refused.get(), 1);
    }

    #[tokio::test]
    async fn tenants_without_searches_are_forgotten() {
        let permits = TenantPermits::default();
        let held = permits.acquire(&tenant("held")).await.unwrap();
        for n in 0..3 * MANY_TENANTS {
            drop(permits.acquire(&tenant(&n.to_string())).await.unwrap());
        }
        let tenants = permits.0.lock().unwrap();
        assert!(tenants.len() <= MANY_TENANTS);
        assert!(tenants.contains_key(&tenant("held")));
        drop(held);
    }
}
