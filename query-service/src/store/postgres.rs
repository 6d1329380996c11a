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
    database::{Role, answered, pool},
    query::PageRequest,
};
use sqlx::PgPool;
use std::{io, time::Duration};
use uuid::Uuid;

/// Connections for single users and plain pages.
const READ_CONNECTIONS: u32 = 12;
/// How long it may take to find one user.
const USER_TIMEOUT: Duration = Duration::from_secs(4);
/// How long it may take to find a page: slightly longer than PostgreSQL's own statement timeout, so
/// that PostgreSQL usually reports the reason.
const PAGE_TIMEOUT: Duration = Duration::from_secs(12);

/// Reads the live generation. Cheap to clone.
#[derive(Clone)]
pub(super) struct Postgres {
    reads: PgPool,
    searches: Searches,
    /// For the health check, which must not queue behind reads.
    checks: PgPool,
}

impl Postgres {
    pub(super) fn open(url: &str) -> anyhow::Result<Self> {
        let (reads, checks) = (pool(url, Role::Reader, READ_CONNECTIONS)?, pool(url, Role::Reader, 1)?);
        Ok(Self { reads, searches: Searches::open(url)?, checks })
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
        answered(USER_TIMEOUT, users::get(&self.reads, key)).await
    }

    pub(super) async fn users(&self, tenant: &TenantId, page: &PageRequest) -> sqlx::Result<Page> {
        answered(PAGE_TIMEOUT, users::page(&self.reads, tenant, page)).await
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
        answered(PAGE_TIMEOUT, credentials::page(&self.reads, tenant, user, page)).await
    }
}
