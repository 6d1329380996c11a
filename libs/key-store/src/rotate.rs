//! Rotates the master key: a new one takes over, all keys are rewrapped under it, and the old ones
//! are destroyed. The service keeps running meanwhile. Without the old master keys, older backups
//! of the key store become useless.

use super::{
    ANSWER_TIMEOUT, ID_SECRET, Keys, KeysError, breaks_a_master_reference, secret_aad,
    store::{self, Stored},
    wrapper::{PlainKey, Wrapped, WrappedKey},
};
use service_kit::{database::answered, failpoint};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// Number of keys rewrapped at once.
const STEP: i64 = 500;
/// How often finishing is attempted: a service may have wrapped a key under the old master key at
/// the last moment.
const TRIES: u32 = 20;
/// Allows one rotation at a time: two would each store the master keys without the other's.
const LOCK: i64 = 0x726f_6c6c_726f_7461;

/// The progress of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// The new master key.
    pub master: String,
    /// Number of keys rewrapped so far.
    pub rewrapped: u64,
    /// Number of keys under other master keys at the beginning.
    pub total: u64,
}

/// Takes the rotation lock for the rest of a transaction. False if a rotation is running.
pub(super) async fn try_lock(transaction: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(transaction).await
}

impl Keys {
    /// Rotates the master key.
    ///
    /// # Errors
    /// Another rotation is running, a store can't be reached, or a key can't be unwrapped. What is
    /// done remains done; the next rotation continues from there.
    pub async fn rotate(&self, mut progress: impl FnMut(&Rotation)) -> Result<Rotation, KeysError> {
        self.check().await?;
        // The lock lives as long as this connection.
        let mut guard = answered(ANSWER_TIMEOUT, self.0.pool.acquire()).await?.detach();
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut guard);
        if !answered(ANSWER_TIMEOUT, locked).await? {
            return Err(KeysError::NeedsOperator("another rotation of the master key is running".to_owned()));
        }
        let rotation = self.rotate_locked(&mut progress).await;
        // Release it explicitly: the server may notice the end of a process only after the next one
        // asks.
        let unlocked = sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK).execute(&mut guard);
        let _ = answered(ANSWER_TIMEOUT, unlocked).await;
        let _ = answered(ANSWER_TIMEOUT, guard.close()).await;
        rotation
    }

    async fn rotate_locked(&self, progress: &mut impl FnMut(&Rotation)) -> Result<Rotation, KeysError> {
        let master = self.0.wrapper.rotate().await?;
        failpoint::hit("rotate.made");
        answered(ANSWER_TIMEOUT, store::register_master(&self.0.pool, &master)).await?;
        let counts = store::count(&self.0.pool).await?;
        let total = counts.iter().filter(|(id, ..)| *id != master).map(|(.., count)| count).sum::<i64>();
        let mut rotation = Rotation { master, rewrapped: 0, total: total.try_into().unwrap_or_default() };
        let mut tries = 0;
        loop {
            tries += 1;
            self.rewrap_all(&mut rotation, progress).await?;
            match store::remove_other_masters(&self.0.pool, &rotation.master).await {
                Ok(()) => break,
                Err(error) if tries < TRIES && breaks_a_master_reference(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        failpoint::hit("rotate.rewrapped");
        self.0.wrapper.retire().await?;
        Ok(rotation)
    }

    /// Rewraps all keys once.
    async fn rewrap_all(
        &self,
        rotation: &mut Rotation,
        progress: &mut impl FnMut(&Rotation),
    ) -> Result<(), KeysError> {
        self.rewrap_secret(rotation).await?;
        let mut after = None;
        loop {
            progress(rotation);
            let page =
                store::wrapped_under_others(&self.0.pool, &rotation.master, after.as_ref(), STEP).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.owner.clone());
            let old = page.iter().map(|key| (key.aad(), key.wrapped.clone())).collect();
            let wrapped = self.rewrapped(old).await?;
            let keys: Vec<(Stored, Wrapped)> = page.into_iter().zip(wrapped).collect();
            rotation.rewrapped += store::rewrap(&self.0.pool, &keys).await?;
            failpoint::hit("rotate.rewrapping");
        }
    }

    async fn rewrap_secret(&self, rotation: &mut Rotation) -> Result<(), KeysError> {
        let found: Option<(Uuid, Wrapped)> = store::secret(&self.0.pool, ID_SECRET).await?;
        let Some((id, wrapped)) = found.filter(|(_, wrapped)| wrapped.master != rotation.master) else {
            return Ok(());
        };
        for wrapped in self.rewrapped(vec![(secret_aad(id), wrapped)]).await? {
            store::put_secret(&self.0.pool, ID_SECRET, id, &wrapped).await?;
            rotation.rewrapped += 1;
        }
        Ok(())
    }

    async fn rewrapped(&self, keys: Vec<(String, Wrapped)>) -> Result<Vec<Wrapped>, KeysError> {
        let wrapped =
            keys.iter().map(|(aad, wrapped)| WrappedKey { aad: aad.clone(), wrapped: wrapped.clone() });
        let secrets = self.0.wrapper.unwrap(wrapped.collect()).await?;
        let plain = keys.into_iter().zip(secrets).map(|((aad, wrapped), secret)| match secret {
            Some(secret) => Ok(PlainKey { aad, secret }),
            None => Err(self.wrong_master(&wrapped.master)),
        });
        self.0.wrapper.wrap(plain.collect::<Result<_, _>>()?).await
    }
}
