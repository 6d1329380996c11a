//! Checks before a key store is created: it must not take the place of another one.

use super::deployment;
use crate::generation::{Unreadable, check_live};
use key_store::{Keys, KeysError};
use service_kit::{
    database::{
        self, Role,
        pooler::{self, PoolerError},
    },
    settings::Settings,
};
use sqlx::PgPool;
use std::time::Duration;

/// How long the check at the start of a service may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Users are sealed under keys, and the key store has never held any.
#[derive(Debug, thiserror::Error)]
#[error(
    "ROLLCALL_KEYS_DATABASE_URL: the key store {place} is empty, but users in the read model are sealed under keys of another one: restore \
     it, or set the URL of the right one. A new key store could read none of these users, and would derive other ids from each Idempotency-Key"
)]
struct Emptied {
    place: &'static str,
}

/// Checks that the key store is not empty while users are sealed. In this order: a user that is
/// created meanwhile has a key store already.
///
/// # Errors
/// It is empty, or a query failed.
pub async fn check_not_emptied(pool: &PgPool, keys: &Keys) -> anyhow::Result<()> {
    let is_anyone_sealed: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM live.users WHERE key_id IS NOT NULL)")
            .fetch_one(pool)
            .await?;
    if !is_anyone_sealed || !keys.is_new().await? {
        return Ok(());
    }
    let place = if keys.is_separate() { "there" } else { "in the read model's database (it is not set)" };
    Err(Emptied { place }.into())
}

/// All checks at the start of a projector, if the stores answer.
///
/// # Errors
/// The key store is empty while users are sealed, it is another deployment's, a newer release has
/// made the live generation, or the database is behind a connection pooler.
pub async fn try_out(settings: &Settings, keys: &Keys) -> anyhow::Result<()> {
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let look = async {
        pooler::check(&pool).await?;
        check_live(&pool).await?;
        deployment::check(&mut *pool.acquire().await?, keys).await?;
        check_not_emptied(&pool, keys).await
    };
    match tokio::time::timeout(TIMEOUT, look).await {
        Ok(Err(refused)) if is_final(&refused) => Err(refused),
        Ok(Err(refused)) if matches!(refused.downcast_ref(), Some(KeysError::NeedsOperator(_))) => {
            Err(refused)
        }
        // Services may start in any order, and before there is a read model. The migration checks
        // again.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn is_final(error: &anyhow::Error) -> bool {
    error.is::<Emptied>() || error.is::<PoolerError>() || error.is::<Unreadable>()
}

/// Checks that the key store is not another deployment's, if the read model exists and answers.
///
/// # Errors
/// It is another deployment's.
pub async fn check_key_store(settings: &Settings) -> anyhow::Result<()> {
    let (pool, keys) = (database::pool(settings.database_url()?, Role::Projector, 1)?, Keys::open(settings)?);
    let look = async {
        let mut connection = pool.acquire().await?;
        deployment::check(&mut connection, &keys).await
    };
    match tokio::time::timeout(TIMEOUT, look).await {
        Ok(Err(refused @ KeysError::NeedsOperator(_))) => Err(refused.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}
