//! Whether the master key is the right one, and the first one made.

use super::{
    ANSWER, DataKey, FIRST_LOOK, ID_SECRET, Keys, KeysError, random, retry_once, secret_aad, store,
    wrapper::{PlainKey, WrappedKey},
};
use service_kit::database::{self, Role, answered};
use sqlx::PgPool;
use std::sync::Arc;
use uuid::Uuid;

impl Keys {
    /// Tries the master key, where the stores answer.
    ///
    /// # Errors
    /// It is lost, wrong, or open to others.
    pub async fn try_out(&self) -> Result<(), KeysError> {
        match tokio::time::timeout(FIRST_LOOK, self.check()).await {
            Ok(Err(refused @ KeysError::Refused(_))) => Err(refused),
            // Start order does not matter: it is tried again by whoever needs a key first.
            Ok(Err(KeysError::Away(_) | KeysError::NoAnswer) | Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Whether nothing has ever been made in the key store.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn is_new(&self) -> Result<bool, KeysError> {
        if !answered(ANSWER, store::is_there(&self.0.pool)).await? {
            return Ok(true);
        }
        // The last that a migration makes.
        Ok(answered(ANSWER, store::secret(&self.0.pool, ID_SECRET)).await?.is_none())
    }

    /// Makes the key store as far as it is missing, with a master key where there has never been one. Idempotent.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost, wrong, or open to others.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        // Not by the role that uses it: that can't make it.
        let pool = database::pool(&self.0.url, Role::Projector, 1)?;
        let made = self.make(&pool).await;
        pool.close().await;
        made?;
        Ok(self.check().await?)
    }

    async fn make(&self, pool: &PgPool) -> Result<(), KeysError> {
        let mut transaction = pool.begin().await?;
        store::make_schema(&mut transaction).await?;
        if store::masters(&mut *transaction).await?.is_empty() {
            self.0.wrapper.make().await?;
            store::enter_master(&mut *transaction, &self.0.wrapper.current().await?).await?;
        }
        if store::secret(&mut *transaction, ID_SECRET).await?.is_none() {
            let (id, secret) = (Uuid::new_v4(), random()?);
            let wrapped = self.0.wrapper.wrap(vec![PlainKey { aad: secret_aad(id), secret }]).await?;
            for wrapped in wrapped {
                store::put_secret(&mut *transaction, ID_SECRET, id, &wrapped).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Whether the key store answers and the master key is the one under which it is wrapped.
    ///
    /// # Errors
    /// It does not, or is not.
    pub async fn check(&self) -> Result<(), KeysError> {
        self.id_secret().await.map(drop)
    }

    /// What ids are derived under, so that they say nothing of what they are derived from.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost or wrong.
    pub async fn id_secret(&self) -> Result<Arc<DataKey>, KeysError> {
        self.0.id_secret.get_or_try_init(|| retry_once(|| self.read_id_secret(&self.0.pool))).await.cloned()
    }

    pub(super) async fn read_id_secret(&self, pool: &PgPool) -> Result<Arc<DataKey>, KeysError> {
        let masters = answered(ANSWER, store::masters(pool)).await?;
        let found = answered(ANSWER, store::secret(pool, ID_SECRET)).await?;
        let Some((id, wrapped)) = found else { return Err(KeysError::Away("it is not made yet".to_owned())) };
        self.0.wrapper.has(masters).await?;
        let master = wrapped.master.clone();
        let bound = WrappedKey { aad: secret_aad(id), wrapped };
        match self.0.wrapper.unwrap(vec![bound]).await?.pop().flatten() {
            Some(secret) => Ok(Arc::new(DataKey::new(id, secret))),
            None => Err(self.wrong_master(&master)),
        }
    }

    pub(super) fn wrong_master(&self, id: &str) -> KeysError {
        KeysError::Refused(format!(
            "{}: the master key {id} does not open what is wrapped under it: it is not the one that it was. Restore the right one, for without \
             it nothing can be read",
            self.0.wrapper.setting()
        ))
    }
}
