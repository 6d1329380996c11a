//! Pools and time limits for reads from PostgreSQL. The statements are `read_model`'s.

use super::searches::{SearchError, Searches};
use events_schema::{TenantId, UserKey};
use read_model::read::{
    credentials,
    page::Page,
    search::Criteria,
    users::{self, User},
};
use service_kit::{
    database::{KeptConnections, Role, answered, pool},
    query::PageRequest,
};
use sqlx::PgPool;
use std::{io, sync::Arc, time::Duration};
use uuid::Uuid;

/// Connections for single users and plain pages.
const READ_CONNECTIONS: u32 = 12;
/// How many of them stay out of the pool between two reads. The others are for what follows the
/// read model.
const KEPT_CONNECTIONS: usize = 10;
/// How long it may take to find one user.
const USER_TIMEOUT: Duration = Duration::from_secs(4);
/// How long it may take to find a page: slightly longer than PostgreSQL's own statement timeout, so
/// that PostgreSQL usually reports the reason.
const PAGE_TIMEOUT: Duration = Duration::from_secs(12);

/// Reads the live generation. Cheap to clone.
#[derive(Clone)]
pub(super) struct Postgres {
    reads: PgPool,
    kept: Arc<KeptConnections>,
    searches: Searches,
    /// For the health check, which must not queue behind reads.
    checks: PgPool,
}

impl Postgres {
    pub(super) fn open(url: &str) -> anyhow::Result<Self> {
        let (reads, checks) = (pool(url, Role::Reader, READ_CONNECTIONS)?, pool(url, Role::Reader, 1)?);
        let kept = Arc::new(KeptConnections::new(reads.clone(), KEPT_CONNECTIONS));
        Ok(Self { reads, kept, searches: Searches::open(url)?, checks })
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.reads
    }

    pub(super) async fn check(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.checks).await.map(drop)
    }

    /// Closes what only requests use. The projection position is followed until the process ends,
    /// on another pool.
    pub(super) async fn close(&self) {
        self.searches.close().await;
    }

    pub(super) async fn user(&self, key: &UserKey) -> sqlx::Result<Option<User>> {
        let get = self.kept.run(async |connection| users::get(connection, key).await);
        answered(USER_TIMEOUT, get).await
    }

    pub(super) async fn users(&self, tenant: &TenantId, page: &PageRequest) -> sqlx::Result<Page> {
        let find = self.kept.run(async |connection| users::page(connection, tenant, page).await);
        answered(PAGE_TIMEOUT, find).await
    }

    /// Without criteria, a search is a list.
    pub(super) async fn search(
        &self,
        tenant: &TenantId,
        criteria: &Criteria,
        page: &PageRequest,
    ) -> Result<Page, SearchError> {
        if *criteria == Criteria::default() {
            return Ok(self.users(tenant, page).await?);
        }
        let found = tokio::time::timeout(PAGE_TIMEOUT, self.searches.page(tenant, criteria, page)).await;
        found.unwrap_or_else(|_| Err(sqlx::Error::from(io::Error::from(io::ErrorKind::TimedOut)).into()))
    }

    pub(super) async fn credentials(
        &self,
        tenant: &TenantId,
        user: Uuid,
        page: &PageRequest,
    ) -> sqlx::Result<Page> {
        let find = self.kept.run(async |connection| credentials::page(connection, tenant, user, page).await);
        answered(PAGE_TIMEOUT, find).await
    }
}
