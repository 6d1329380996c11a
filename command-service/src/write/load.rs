//! Step 2: load the user from the read model.

use super::{Write, Writer};
use crate::{
    batcher::{Batcher, CONCURRENCY},
    problems,
};
use domain::{codec::owner, command::Command};
use events_schema::UserKey;
use key_store::DataKey;
use read_model::read::{
    after_write::{self, PendingErasure},
    user_before_write::{self, CreatedUser, LoadedUser},
};
use service_kit::{database::KeptConnections, problem::Problem};
use sqlx::PgPool;
use std::{future::Future, sync::Arc, time::Duration};

/// How long one query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(4);

/// Reads users from the read model. Queries of several writes are combined.
pub(crate) struct Users {
    pool: PgPool,
    batcher: Batcher<UserKey, Result<LoadedUser, Problem>>,
}

impl Users {
    pub(crate) fn new(pool: PgPool) -> Self {
        let connections = Arc::new(KeptConnections::new(pool.clone(), CONCURRENCY));
        let batcher = Batcher::new(QUERY_TIMEOUT, move |keys| {
            let connections = connections.clone();
            async move { load_all(&connections, &keys).await }
        });
        Self { pool, batcher }
    }

    /// Loads what a decision needs to know of a user.
    pub(crate) async fn load(&self, key: &UserKey) -> Result<LoadedUser, Problem> {
        self.batcher.ask(key.clone()).await.unwrap_or_else(|| Err(problems::read_model_unavailable()))
    }

    /// What is left of the erasure of a deleted user.
    pub(crate) async fn pending_erasure(&self, key: &UserKey) -> Result<PendingErasure, Problem> {
        run_query(after_write::pending_erasure(&self.pool, key)).await
    }

    /// The current user, with the digest of its creation.
    pub(crate) async fn created(&self, key: &UserKey) -> Result<Option<CreatedUser>, Problem> {
        run_query(user_before_write::created_user(&self.pool, key)).await
    }
}

impl Writer {
    /// Loads the user, unless it is `known`, and meanwhile the key that an update most likely
    /// needs. An error about the key is reported when the key is needed.
    pub(super) async fn load(
        &self,
        write: &Write,
        known: Option<LoadedUser>,
    ) -> Result<(LoadedUser, Option<Arc<DataKey>>), Problem> {
        let Some(known) = known else {
            let (user, key) = tokio::join!(self.users.load(&write.key), self.prefetch_key(write));
            return Ok((user?, key));
        };
        Ok((known, None))
    }

    async fn prefetch_key(&self, write: &Write) -> Option<Arc<DataKey>> {
        match &write.command {
            Command::Update { .. } => self.data_keys.get(&owner(&write.key)).await.ok().flatten(),
            Command::Create { .. } | Command::Delete => None,
        }
    }
}

async fn load_all(connections: &KeptConnections, keys: &[UserKey]) -> Vec<Result<LoadedUser, Problem>> {
    let load = connections.run(async |connection| user_before_write::load_users(connection, keys).await);
    match run_query(load).await {
        Ok(users) => users.into_iter().map(Ok).collect(),
        Err(problem) => vec![Err(problem); keys.len()],
    }
}

async fn run_query<T>(query: impl Future<Output = sqlx::Result<T>>) -> Result<T, Problem> {
    let error = match tokio::time::timeout(QUERY_TIMEOUT, query).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::warn!(error, "the read model can't be queried for a user");
    Err(problems::read_model_unavailable())
}
