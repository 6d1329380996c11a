//! Iterates over all keys, page by page, for maintenance.

use super::{
    ANSWER_TIMEOUT, DataKey, Keys, KeysError, Owner, Uses, retry_once,
    store::{self, Stored},
};
use service_kit::database::answered;
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// Number of keys in a page.
pub(super) const PAGE: i64 = 2_000;

/// A stored key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its owner.
    pub owner: Owner,
    /// Its id.
    pub id: Uuid,
    /// When it was last requested for an owner without sealed data.
    pub asked_at: OffsetDateTime,
}

/// A master key and how much is wrapped under it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MasterCount {
    /// Its id.
    pub id: String,
    /// Since when it is in use.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Whether it wraps new keys.
    pub is_current: bool,
    /// Number of keys wrapped under it.
    pub keys: i64,
}

pub(super) fn stored_keys(stored: Vec<Stored>) -> Vec<StoredKey> {
    stored.into_iter().map(|key| StoredKey { owner: key.owner, id: key.id, asked_at: key.asked_at }).collect()
}

impl Keys {
    /// The current time by the key store's clock.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn time(&self) -> Result<OffsetDateTime, KeysError> {
        let now = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.0.pool);
        Ok(answered(ANSWER_TIMEOUT, now).await?)
    }

    /// The next page of stored keys, ordered by owner. Empty at the end.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn page(&self, after: Option<&Owner>) -> Result<Vec<StoredKey>, KeysError> {
        Ok(stored_keys(answered(ANSWER_TIMEOUT, store::page(&self.0.pool, after, PAGE)).await?))
    }

    /// The stored keys of these owners.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn stored_keys_of(&self, owners: &[Owner]) -> Result<Vec<StoredKey>, KeysError> {
        Ok(stored_keys(answered(ANSWER_TIMEOUT, store::find(&self.0.pool, owners)).await?))
    }

    /// Like [`Self::page`], with the keys unwrapped.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost or wrong.
    pub async fn page_unwrapped(
        &self,
        after: Option<&Owner>,
    ) -> Result<Vec<(Owner, Arc<DataKey>)>, KeysError> {
        let page = || store::page(&self.0.pool, after, PAGE);
        retry_once(|| async move { self.unwrap(answered(ANSWER_TIMEOUT, page()).await?, &Uses::new()).await })
            .await
    }

    /// The master keys and the number of keys under each.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost or wrong.
    pub async fn count(&self) -> Result<Vec<MasterCount>, KeysError> {
        self.check().await?;
        let current = self.0.wrapper.current().await?;
        let counts = store::count(&self.0.pool).await?;
        let count =
            |(id, since, keys): (String, _, _)| MasterCount { is_current: id == current, id, since, keys };
        Ok(counts.into_iter().map(count).collect())
    }
}
