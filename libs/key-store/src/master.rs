//! Checks the master key, and creates the first one.

use super::{
    ANSWER_TIMEOUT, DataKey, FIRST_CHECK_TIMEOUT, ID_SECRET, Keys, KeysError, random, retry_once, schema,
    secret_aad, store,
    wrapper::{PlainKey, WrappedKey},
};
use service_kit::database::{self, Role, answered};
use sqlx::PgPool;
use std::sync::Arc;
use uuid::Uuid;

impl Keys {
    /// Checks the master key if the stores answer.
    ///
    /// # Errors
    /// It is lost, wrong, or accessible to others.
    pub async fn check_if_reachable(&self) -> Result<(), KeysError> {
        match tokio::time::timeout(FIRST_CHECK_TIMEOUT, self.check()).await {
            Ok(Err(refused @ KeysError::NeedsOperator(_))) => Err(refused),
            // Start order does not matter: whoever needs a key first will check again.
            Ok(Err(KeysError::Unavailable(_) | KeysError::NoAnswer) | Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Whether the key store has never been set up.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn is_new(&self) -> Result<bool, KeysError> {
        if !answered(ANSWER_TIMEOUT, schema::is_there(&self.0.pool)).await? {
            return Ok(true);
        }
        // The last thing that a migration creates.
        Ok(answered(ANSWER_TIMEOUT, store::secret(&self.0.pool, ID_SECRET)).await?.is_none())
    }

    /// Makes a key store usable that was restored from a backup without rights. Changes nothing
    /// else.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn renew_rights(&self) -> Result<(), KeysError> {
        let pool = self.owners_pool()?;
        let renewed = answered(ANSWER_TIMEOUT, schema::renew_rights(&pool)).await;
        pool.close().await;
        Ok(renewed?)
    }

    /// Creates what is missing of the key store, including a first master key if there has never
    /// been one. Idempotent.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost, wrong, or accessible to others.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        // Not with the role that uses it: that can't create it.
        let pool = database::pool(&self.0.url, Role::Projector, 1)?;
        let created = self.create_missing(&pool).await;
        pool.close().await;
        created?;
        Ok(self.check().await?)
    }

    async fn create_missing(&self, pool: &PgPool) -> Result<(), KeysError> {
        let mut transaction = pool.begin().await?;
        schema::create(&mut transaction).await?;
        if store::masters(&mut *transaction).await?.is_empty() {
            self.0.wrapper.create_first().await?;
            store::register_master(&mut *transaction, &self.0.wrapper.current().await?).await?;
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

    /// Checks that the key store answers and that its keys are wrapped under our master key.
    ///
    /// # Errors
    /// It does not, or they are not.
    pub async fn check(&self) -> Result<(), KeysError> {
        self.id_secret().await.map(drop)
    }

    /// The secret that ids are derived with, so that they reveal nothing about their input.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost or wrong.
    pub async fn id_secret(&self) -> Result<Arc<DataKey>, KeysError> {
        self.0.id_secret.get_or_try_init(|| retry_once(|| self.read_id_secret(&self.0.pool))).await.cloned()
    }

    pub(super) async fn read_id_secret(&self, pool: &PgPool) -> Result<Arc<DataKey>, KeysError> {
        let masters = answered(ANSWER_TIMEOUT, store::masters(pool)).await?;
        let found = answered(ANSWER_TIMEOUT, store::secret(pool, ID_SECRET)).await?;
        let Some((id, wrapped)) = found else {
            return Err(KeysError::Unavailable("it is not set up yet".to_owned()));
        };
        self.0.wrapper.check_has(masters).await?;
        let master = wrapped.master.clone();
        let wrapped = WrappedKey { aad: secret_aad(id), wrapped };
        match self.0.wrapper.unwrap(vec![wrapped]).await?.pop().flatten() {
            Some(secret) => Ok(Arc::new(DataKey::new(id, secret))),
            None => Err(self.wrong_master(&master)),
        }
    }

    pub(super) fn wrong_master(&self, id: &str) -> KeysError {
        KeysError::NeedsOperator(format!(
            "{}: the master key {id} does not open what was wrapped under it: its content has changed. Restore the right one, because nothing \
             can be read without it",
            self.0.wrapper.setting()
        ))
    }
}
