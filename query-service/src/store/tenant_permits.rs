//! How many searches of one tenant run at once. A tenant with many or slow searches waits for its
//! own, and the others find connections.

use events_schema::TenantId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
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

/// One semaphore for each tenant that searches. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct TenantPermits(Arc<Mutex<HashMap<TenantId, Arc<Semaphore>>>>);

impl TenantPermits {
    /// Waits for a permit. `None` if the tenant's other searches take too long.
    pub(super) async fn acquire(&self, tenant: &TenantId) -> Option<OwnedSemaphorePermit> {
        let permit = self.semaphore(tenant).acquire_owned();
        timeout(PATIENCE, permit).await.ok()?.ok()
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
