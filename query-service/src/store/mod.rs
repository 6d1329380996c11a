//! Where reads get their answers: Redis where it can be trusted, else Postgres.

mod layout;
mod link;
mod postgres;
mod redis;

pub(crate) use link::{Link, check as check_redis};

use self::{layout::Layout, postgres::Postgres, redis::Cache};
use crate::{criteria::Criteria, page::Page};
use bytes::Bytes;
use events_schema::{TenantId, UserKey};
use service_kit::{query::PageRequest, settings::Settings};
use sqlx::PgPool;
use uuid::Uuid;

/// A user as the store has it: the body is ready and is never looked into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) version: i64,
    pub(crate) body: Bytes,
}

/// Both stores. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    postgres: Postgres,
    layout: Layout,
    namespace: String,
}

impl Store {
    /// Opens the store; it connects when first used.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let postgres = Postgres::open(settings.database_url()?)?;
        let layout = Layout::start(postgres.pool().clone());
        Ok(Self { postgres, layout, namespace: format!("rollcall:{}", settings.topic_prefix) })
    }

    /// The pool, for whoever follows the projector's progress.
    pub(crate) fn pool(&self) -> &PgPool {
        self.postgres.pool()
    }

    /// The store as one worker uses it, by a connection to Redis of its own.
    pub(crate) fn reader(&self, link: Link) -> Reader {
        let cache = Cache::new(self.namespace.clone(), self.layout.clone(), link);
        Reader { postgres: self.postgres.clone(), cache }
    }

    /// Whether Postgres answers.
    pub(crate) async fn check(&self) -> Result<(), String> {
        self.postgres.check().await.map_err(|error| cause(&error))
    }

    /// Closes the connections that nobody needs without requests.
    pub(crate) async fn close(&self) {
        self.postgres.close().await;
    }
}

/// What one worker reads by.
pub(crate) struct Reader {
    postgres: Postgres,
    cache: Cache,
}

impl Reader {
    /// One user.
    pub(crate) async fn user(&self, key: &UserKey) -> sqlx::Result<Option<User>> {
        match self.cache.user(key).await {
            Some(user) => Ok(Some(user)),
            None => self.postgres.user(key).await,
        }
    }

    /// A page of a tenant's users.
    pub(crate) async fn users(&self, tenant: &TenantId, page: &PageRequest) -> sqlx::Result<Page> {
        self.postgres.users(tenant, page).await
    }

    /// A page of those of a tenant's users that meet all criteria.
    pub(crate) async fn search(
        &self,
        tenant: &TenantId,
        criteria: &Criteria,
        page: &PageRequest,
    ) -> sqlx::Result<Page> {
        self.postgres.search(tenant, criteria, page).await
    }

    /// A page of a user's credentials; none where there is no such user.
    pub(crate) async fn credentials(
        &self,
        tenant: &TenantId,
        user: Uuid,
        page: &PageRequest,
    ) -> sqlx::Result<Page> {
        self.postgres.credentials(tenant, user, page).await
    }
}

/// What went wrong, in words that repeat no value: a database's own message may quote one.
pub(crate) fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(refused) => {
            format!("Postgres refused with SQLSTATE {}", refused.code().unwrap_or_default())
        }
        other => other.to_string(),
    }
}
