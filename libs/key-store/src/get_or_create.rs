//! Creates keys for owners that have none.

use super::{
    ANSWER_TIMEOUT, DataKey, KeyRing, Keys, KeysError, MAX_CHECK_INTERVAL, Origin, Owner, Uses,
    breaks_a_master_reference, random, rotate,
    store::{self, Stored, aad},
    wrapper::PlainKey,
};
use service_kit::database::answered;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use uuid::Uuid;

/// How long storing a key is retried while a rotation replaces the master key.
const RETRY_FOR: Duration = Duration::from_secs(3);

/// New keys by owner.
type New<'o> = HashMap<&'o Owner, Arc<DataKey>>;

impl Keys {
    /// The keys of these owners, created where missing. They are durable before anything is sealed
    /// under them. `origin` is recorded with each new key.
    ///
    /// # Errors
    /// A store can't be reached, the key store belongs to another deployment, or the master key is
    /// lost or wrong.
    pub async fn get_or_create(&self, owners: &[Owner], origin: &Origin) -> Result<KeyRing, KeysError> {
        self.check().await?;
        let eviction_count = self.cache().eviction_count();
        let uses = self.uses(owners);
        let mut new = New::new();
        for owner in owners {
            let key = DataKey::new(Uuid::new_v4(), random()?).in_use(uses.get(owner).cloned());
            new.insert(owner, Arc::new(key));
        }
        let mut ring = KeyRing::new();
        let mut existing = Vec::new();
        let rows = self.store_new(&new, origin).await?;
        if rows.is_empty() && !owners.is_empty() {
            return Err(self.not_ours(origin.deployment).await);
        }
        for row in rows {
            match new.get(&row.owner).filter(|key| key.id() == row.id) {
                Some(key) => drop(ring.insert(row.owner, key.clone())),
                None => existing.push(row),
            }
        }
        ring.extend(self.unwrap_existing(existing, &uses).await?);
        self.cache().put(
            ring.iter().map(|(owner, key)| (owner.clone(), key.clone())),
            eviction_count,
            Instant::now(),
        );
        Ok(ring)
    }

    /// Unwraps keys that existed already. A rotation may have ended since they were read.
    async fn unwrap_existing(
        &self,
        stored: Vec<Stored>,
        uses: &Uses,
    ) -> Result<Vec<(Owner, Arc<DataKey>)>, KeysError> {
        let owners: Vec<Owner> = stored.iter().map(|key| key.owner.clone()).collect();
        match self.unwrap(stored, uses).await {
            Err(KeysError::NeedsOperator(_)) => self.read(&owners).await,
            opened => opened,
        }
    }

    /// Stores keys for owners that have none. During a rotation the current master key may change
    /// at any moment.
    async fn store_new(&self, new: &New<'_>, origin: &Origin) -> Result<Vec<Stored>, KeysError> {
        let give_up = Instant::now() + RETRY_FOR;
        loop {
            match answered(ANSWER_TIMEOUT, store::add(&self.0.pool, self.wrap_new(new).await?, origin)).await
            {
                Err(error) if breaks_a_master_reference(&error) && Instant::now() < give_up => {
                    self.register_current_master().await?;
                    tokio::time::sleep(MAX_CHECK_INTERVAL).await;
                }
                added => return Ok(added?),
            }
        }
    }

    /// An interrupted rotation may have left a master key that wraps but is not registered. While a
    /// rotation is running, registering is its own job: this must not register a master key that is
    /// about to be destroyed, nor one from a file that predates the last rotation or belongs to
    /// another deployment.
    async fn register_current_master(&self) -> Result<(), KeysError> {
        let mut transaction = answered(ANSWER_TIMEOUT, self.0.pool.begin()).await?;
        if answered(ANSWER_TIMEOUT, rotate::try_lock(&mut transaction)).await? {
            self.0
                .wrapper
                .check_has(answered(ANSWER_TIMEOUT, store::masters(&mut *transaction)).await?)
                .await?;
            let current = self.0.wrapper.current().await?;
            answered(ANSWER_TIMEOUT, store::register_master(&mut *transaction, &current)).await?;
        }
        Ok(answered(ANSWER_TIMEOUT, transaction.commit()).await?)
    }

    async fn wrap_new(&self, new: &New<'_>) -> Result<Vec<Stored>, KeysError> {
        let plain = new
            .iter()
            .map(|(owner, key)| PlainKey { aad: aad(owner, key.id()), secret: key.secret().clone() });
        let wrapped = self.0.wrapper.wrap(plain.collect()).await?;
        let asked_at = OffsetDateTime::now_utc();
        let stored = new.iter().zip(wrapped).map(|((owner, key), wrapped)| Stored {
            owner: (*owner).clone(),
            id: key.id(),
            wrapped,
            asked_at,
        });
        Ok(stored.collect())
    }
}
