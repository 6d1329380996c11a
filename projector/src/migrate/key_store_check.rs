//! Whether a key store that is about to be made would stand in another one's place.

use super::deployment;
use key_store::{Keys, KeysError};
use service_kit::{
    database::{self, Role},
    pooler::{self, Pooler},
    settings::Settings,
};
use sqlx::PgPool;
use std::time::Duration;

/// For a first look at the start.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Users are sealed under keys, and the key store has never held any.
#[derive(Debug, thiserror::Error)]
#[error(
    "ROLLCALL_KEYS_DATABASE_URL: the key store {place} is empty, but users in the read model are sealed under keys of another one: restore \
     it, or point the setting at the right one. A new one would read none of them, and derive other ids from each Idempotency-Key"
)]
struct Emptied {
    place: &'static str,
}

/// Refuses where users are sealed and the key store is empty. In this order: a create that comes between finds a store that was made.
pub(super) async fn check(pool: &PgPool, keys: &Keys) -> anyhow::Result<()> {
    let is_anyone_sealed: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM live.users WHERE key_id IS NOT NULL)")
            .fetch_one(pool)
            .await?;
    if !is_anyone_sealed || !keys.is_new().await? {
        return Ok(());
    }
    let place = if keys.is_apart() { "there" } else { "in the read model's database (it is not set)" };
    Err(Emptied { place }.into())
}

/// The same at a service's start, where the stores answer; and whether the key store is another deployment's.
///
/// # Errors
/// Users are sealed and the key store is empty, or it is another deployment's, or a pooler stands before the database.
pub(crate) async fn try_out(settings: &Settings, keys: &Keys) -> anyhow::Result<()> {
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let look = async {
        pooler::check(&pool).await?;
        deployment::check(&mut *pool.acquire().await?, keys).await?;
        check(&pool, keys).await
    };
    match tokio::time::timeout(FIRST_LOOK, look).await {
        Ok(Err(refused)) if refused.is::<Emptied>() || refused.is::<Pooler>() => Err(refused),
        Ok(Err(refused)) if matches!(refused.downcast_ref(), Some(KeysError::Refused(_))) => Err(refused),
        // Start order does not matter, nor that there is no read model yet: the migration looks again.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Refuses the key store of another deployment. A read model that does not answer, or is not there, keeps nobody from anything.
///
/// # Errors
/// It is another deployment's.
pub async fn check_key_store(settings: &Settings) -> anyhow::Result<()> {
    let (pool, keys) = (database::pool(settings.database_url()?, Role::Projector, 1)?, Keys::open(settings)?);
    let look = async {
        let mut connection = pool.acquire().await?;
        deployment::check(&mut connection, &keys).await
    };
    match tokio::time::timeout(FIRST_LOOK, look).await {
        Ok(Err(refused @ KeysError::Refused(_))) => Err(refused.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}
