//! Finds the keys of owners, in the cache or in the store.

use super::{
    ANSWER_TIMEOUT, KeyRing, Keys, KeysError, retry_once,
    store::{self, Stored},
    wrapper::WrappedKey,
};
use domain::codec::{DataKey, InUse, Owner, Secret};
use service_kit::database::answered;
use std::{collections::HashMap, sync::Arc, time::Instant};
use time::OffsetDateTime;

/// Marks the keys of these owners as in use.
pub(super) type Uses = HashMap<Owner, InUse>;

impl Keys {
    /// The key of an owner, if there is one.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost or wrong.
    pub async fn of(&self, owner: &Owner) -> Result<Option<Arc<DataKey>>, KeysError> {
        Ok(self.get_many(std::slice::from_ref(owner)).await?.remove(owner))
    }

    /// When the key of an owner was created, if there is one: before anything was sealed under it.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn created_at(&self, owner: &Owner) -> Result<Option<OffsetDateTime>, KeysError> {
        let created = sqlx::query_scalar(
            "SELECT created_at FROM rollcall_keys.data_keys WHERE tenant_id = $1 AND owner_id = $2",
        );
        let created = created.bind(owner.tenant.as_str()).bind(owner.id).fetch_optional(&self.0.pool);
        Ok(answered(ANSWER_TIMEOUT, created).await?)
    }

    /// The key of an owner, if it is cached.
    pub fn get_cached(&self, owner: &Owner) -> Option<Arc<DataKey>> {
        self.cache().get(owner, Instant::now())
    }

    /// The existing keys of these owners.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost or wrong.
    pub async fn get_many(&self, owners: &[Owner]) -> Result<KeyRing, KeysError> {
        let now = Instant::now();
        let cached = |owner: &Owner| Some((owner.clone(), self.cache().get(owner, now)?));
        let mut ring: KeyRing = owners.iter().filter_map(cached).collect();
        let missing: Vec<Owner> = owners.iter().filter(|owner| !ring.contains_key(owner)).cloned().collect();
        if missing.is_empty() {
            return Ok(ring);
        }
        let eviction_count = self.cache().eviction_count();
        let found = self.read(&missing).await?;
        self.cache().put(
            found.iter().map(|(owner, key)| (owner.clone(), key.clone())),
            eviction_count,
            Instant::now(),
        );
        ring.extend(found);
        Ok(ring)
    }

    /// The keys of owners, read from the store.
    pub(super) async fn read(&self, owners: &[Owner]) -> Result<Vec<(Owner, Arc<DataKey>)>, KeysError> {
        let uses = self.uses(owners);
        let uses = &uses;
        retry_once(
            || async move { self.unwrap(answered(ANSWER_TIMEOUT, self.find(owners)).await?, uses).await },
        )
        .await
    }

    async fn find(&self, owners: &[Owner]) -> sqlx::Result<Vec<Stored>> {
        self.0.connections.run(async |connection| store::find(connection, owners).await).await
    }

    /// Marks the keys of these owners as in use. Call this before reading them.
    pub(super) fn uses(&self, owners: &[Owner]) -> Uses {
        owners.iter().map(|owner| (owner.clone(), self.cache().note_use(owner))).collect()
    }

    /// Unwraps stored keys. A key that its master key does not open is an error, not a missing key.
    pub(super) async fn unwrap(
        &self,
        stored: Vec<Stored>,
        uses: &Uses,
    ) -> Result<Vec<(Owner, Arc<DataKey>)>, KeysError> {
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let wrapped = stored.iter().map(|key| WrappedKey { aad: key.aad(), wrapped: key.wrapped.clone() });
        let secrets = self.0.wrapper.unwrap(wrapped.collect()).await?;
        let key = |(stored, secret): (Stored, Option<Secret>)| match secret {
            Some(secret) => {
                let key = DataKey::new(stored.id, secret).in_use(uses.get(&stored.owner).cloned());
                Ok((stored.owner, Arc::new(key)))
            }
            None => Err(self.wrong_master(&stored.wrapped.master)),
        };
        stored.into_iter().zip(secrets).map(key).collect()
    }
}
