//! Reads users and credentials: from Redis where its answer can be trusted, otherwise from
//! PostgreSQL.

mod cache;
mod live_generation;
mod postgres;
mod redis_connection;
mod searches;
mod tenant_permits;

pub(crate) use redis_connection::{RedisConnection, check as check_redis};
pub(crate) use searches::SearchError;

use self::{cache::Cache, live_generation::LiveGenerationWatch, postgres::Postgres};
use events_schema::{TenantId, UserKey};
use read_model::{
    cache::CacheKeys,
    read::{page::Page, search::Criteria, users::User},
};
use service_kit::{query::PageRequest, settings::Settings};
use sqlx::PgPool;
use uuid::Uuid;

/// Both stores. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    postgres: Postgres,
    live: LiveGenerationWatch,
    keys: CacheKeys,
}

impl Store {
    /// Opens the store. It connects when it is first used.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let postgres = Postgres::open(settings.database_url()?)?;
        let live = LiveGenerationWatch::start(postgres.pool().clone());
        Ok(Self { postgres, live, keys: CacheKeys::new(&settings.topic_prefix) })
    }

    /// The pool of the reads.
    pub(crate) fn pool(&self) -> &PgPool {
        self.postgres.pool()
    }

    /// The store for one worker, with the worker's Redis connection.
    pub(crate) fn reader(&self, connection: RedisConnection) -> Reader {
        let cache = Cache::new(self.keys.clone(), self.live.clone(), connection);
        Reader { postgres: self.postgres.clone(), cache }
    }

    /// Whether PostgreSQL answers.
    pub(crate) async fn check(&self) -> Result<(), String> {
        self.postgres.check().await.map_err(|error| describe_redacted(&error))
    }

    /// Closes the connections that only requests use.
    pub(crate) async fn close(&self) {
        self.postgres.close().await;
    }
}

/// The store as one worker uses it.
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

    /// A page of a tenant's users that match all criteria.
    pub(crate) async fn search(
        &self,
        tenant: &TenantId,
        criteria: &Criteria,
        page: &PageRequest,
    ) -> Result<Page, SearchError> {
        self.postgres.search(tenant, criteria, page).await
    }

    /// A page of a user's credentials. It is empty where there is no such user.
    pub(crate) async fn credentials(
        &self,
        tenant: &TenantId,
        user: Uuid,
        page: &PageRequest,
    ) -> sqlx::Result<Page> {
        self.postgres.credentials(tenant, user, page).await
    }
}

/// Describes an error without repeating any value: PostgreSQL's own message may quote one.
pub(crate) fn describe_redacted(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(refused) => {
            format!("Postgres refused with SQLSTATE {}", refused.code().unwrap_or_default())
        }
        other => other.to_string(),
    }
}
