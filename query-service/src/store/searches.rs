//! Searches. They have connections of their own, so that slow ones don't delay other reads.

use super::tenant_permits::TenantPermits;
use arc_swap::ArcSwapOption;
use events_schema::TenantId;
use read_model::{
    SearchSecret,
    read::{
        page::Page,
        search::{self, Criteria, fixed_plans, page_by_containment},
    },
};
use service_kit::{
    database::{KeptConnections, Role, pool},
    query::PageRequest,
};
use sqlx::{PgConnection, PgPool};
use std::sync::Arc;
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinError, spawn_local},
};

/// Connections for search.
const CONNECTIONS: u32 = 6;

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// Other searches of the tenant take too long.
    #[error("too many searches of the tenant at once")]
    Busy,
    /// PostgreSQL fails or can't be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Searches the live generation. Cheap to clone.
#[derive(Clone)]
pub(super) struct Searches {
    permits: TenantPermits,
    by_postings: Arc<KeptConnections>,
    /// For generations of an earlier release.
    by_containment: PgPool,
    secret: Arc<ArcSwapOption<SearchSecret>>,
}

impl Searches {
    pub(super) fn open(url: &str) -> anyhow::Result<Self> {
        let by_containment = pool(url, Role::Reader, CONNECTIONS)?;
        // The best plan depends on how common the criteria are, so each search is planned for its
        // values.
        let options = (*by_containment.connect_options()).clone();
        by_containment.set_connect_options(options.options([("plan_cache_mode", "force_custom_plan")]));
        let by_postings = fixed_plans(pool(url, Role::Reader, CONNECTIONS)?);
        Ok(Self {
            permits: TenantPermits::new(),
            by_postings: Arc::new(KeptConnections::new(by_postings, CONNECTIONS as usize)),
            by_containment,
            secret: Arc::default(),
        })
    }

    pub(super) async fn close(&self) {
        tokio::join!(self.by_postings.close(), self.by_containment.close());
    }

    /// A page of what is found. PostgreSQL goes on with a search that nobody waits for any more, so the
    /// search keeps its permit until PostgreSQL has answered.
    pub(super) async fn page(
        &self,
        tenant: &TenantId,
        criteria: &Criteria,
        page: &PageRequest,
    ) -> Result<Page, SearchError> {
        let permit = self.permits.acquire(tenant).await.ok_or(SearchError::Busy)?;
        let (this, tenant, criteria, page) = (self.clone(), tenant.clone(), criteria.clone(), *page);
        let search = async move { this.find(&tenant, &criteria, &page).await };
        to_the_end(permit, search).await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }

    async fn find(
        &self,
        tenant: &TenantId,
        criteria: &Criteria,
        page: &PageRequest,
    ) -> Result<Page, SearchError> {
        if let Some(secret) = self.secret.load_full()
            && let Some(found) = self.page_by_postings(&secret, tenant, criteria, page).await?
        {
            return Ok(found);
        }
        // The read model was made anew, or the live generation has no postings.
        let secret =
            Arc::new(self.by_postings.run(async |connection| search::secret(connection).await).await?);
        self.secret.store(Some(secret.clone()));
        match self.page_by_postings(&secret, tenant, criteria, page).await? {
            Some(found) => Ok(found),
            None => Ok(page_by_containment(&self.by_containment, tenant, criteria, page).await?),
        }
    }

    async fn page_by_postings(
        &self,
        secret: &SearchSecret,
        tenant: &TenantId,
        criteria: &Criteria,
        page: &PageRequest,
    ) -> sqlx::Result<Option<Page>> {
        let find = async |connection: &mut PgConnection| {
            search::page(connection, secret, tenant, criteria, page).await
        };
        self.by_postings.run(find).await
    }
}

/// Runs a search on this thread, even if its caller stops waiting. It holds the permit until then.
async fn to_the_end<T: 'static>(
    permit: OwnedSemaphorePermit,
    search: impl Future<Output = T> + 'static,
) -> Result<T, JoinError> {
    spawn_local(async move {
        let found = search.await;
        drop(permit);
        found
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::{sync::oneshot, task::LocalSet};

    #[tokio::test]
    async fn a_search_keeps_its_permit_until_it_ends() {
        let permits = Arc::new(tokio::sync::Semaphore::new(1));
        let (end, ended) = oneshot::channel::<()>();
        let test = async {
            let permit = permits.clone().acquire_owned().await.unwrap();
            assert!(to_the_end(permit, ended).now_or_never().is_none(), "its caller has stopped waiting");
            assert_eq!(permits.available_permits(), 0);
            end.send(()).unwrap();
            drop(permits.acquire().await.unwrap());
        };
        LocalSet::new().run_until(test).await;
    }
}
