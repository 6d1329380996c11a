//! A key store left behind in the read model's database after one in another database replaced it.
//! Its content is as good as a key that was never destroyed.

use super::{
    ANSWER_TIMEOUT, KeysError, Owner,
    pages::{PAGE, StoredKey, stored_keys},
    schema, store,
};
use anyhow::Context as _;
use service_kit::{
    database::{self, Role, answered},
    settings::{AtSetting, Settings},
};
use sqlx::PgPool;
use time::OffsetDateTime;

/// Identifies a database and its running server: two URLs may lead to the same one.
type Place = (String, OffsetDateTime);

/// A key store that was left behind.
pub struct OldKeyStore(PgPool);

impl OldKeyStore {
    /// Finds it. `None` also if the key store is in the read model's database, whatever the URL.
    ///
    /// # Errors
    /// A database can't be reached.
    pub async fn find(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let (Some(keys), Some(model)) = (&settings.keys_database_url, &settings.database_url) else {
            return Ok(None);
        };
        let pool = database::pool(model, Role::Projector, 1)?;
        if !answered(ANSWER_TIMEOUT, schema::is_there(&pool)).await? {
            return Ok(None);
        }
        let (there, here) =
            (place(keys).await.context(AtSetting("ROLLCALL_KEYS_DATABASE_URL"))?, place(model).await?);
        Ok((there != here).then_some(Self(pool)))
    }

    /// The number of keys in it.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn count(&self) -> Result<u64, KeysError> {
        let count = store::count_keys(&self.0);
        Ok(u64::try_from(answered(ANSWER_TIMEOUT, count).await?).unwrap_or_default())
    }

    /// The key of an owner in it.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn of(&self, owner: &Owner) -> Result<Option<StoredKey>, KeysError> {
        let found = store::find(&self.0, std::slice::from_ref(owner));
        Ok(stored_keys(answered(ANSWER_TIMEOUT, found).await?).pop())
    }

    /// The next page of its keys, ordered by owner. Empty at the end.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn page(&self, after: Option<&Owner>) -> Result<Vec<StoredKey>, KeysError> {
        Ok(stored_keys(answered(ANSWER_TIMEOUT, store::page(&self.0, after, PAGE)).await?))
    }
}

async fn place(url: &str) -> anyhow::Result<Place> {
    let pool = database::pool(url, Role::Projector, 1)?;
    let place = sqlx::query_as("SELECT current_database()::text, pg_postmaster_start_time()");
    let place = answered(ANSWER_TIMEOUT, place.fetch_one(&pool)).await;
    pool.close().await;
    Ok(place?)
}
