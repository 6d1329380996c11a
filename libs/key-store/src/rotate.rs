//! A rotation: another master key wraps, what was wrapped before is wrapped anew, and the old master keys are destroyed. Everybody goes on
//! meanwhile. With the old master keys every older backup of the key store becomes useless.

use super::{
    ANSWER, ID_SECRET, Keys, KeysError, is_of_no_master, secret_aad,
    store::{self, Stored},
    wrapper::{PlainKey, Wrapped, WrappedKey},
};
use service_kit::{database::answered, failpoint};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// Keys that are wrapped anew at once.
const STEP: i64 = 500;
/// How often the end is tried: a service may have wrapped a key under the old master key in the last moment.
const TRIES: u32 = 20;
/// One rotation at a time: of two, each would write the master keys down without the other's.
const LOCK: i64 = 0x726f_6c6c_726f_7461;

/// How far a rotation is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// The master key that wraps now.
    pub master: String,
    /// Keys that were wrapped anew.
    pub rewrapped: u64,
    /// Keys that there were under others when it began.
    pub total: u64,
}

/// Takes the lock of a rotation for the rest of a transaction; false: one is at work.
pub(super) async fn is_alone(transaction: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(transaction).await
}

impl Keys {
    /// Rotates the master key.
    ///
    /// # Errors
    /// Another rotation is at work, a store can't be reached, or a key can't be unwrapped: what is done stays done, and another rotation goes on
    /// from there.
    pub async fn rotate(&self, mut progress: impl FnMut(&Rotation)) -> Result<Rotation, KeysError> {
        self.check().await?;
        // The lock lives as long as this connection.
        let mut guard = answered(ANSWER, self.0.pool.acquire()).await?.detach();
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut guard);
        if !answered(ANSWER, locked).await? {
            return Err(KeysError::Refused("another rotation of the master key is at work".to_owned()));
        }
        let rotation = self.rotate_alone(&mut progress).await;
        // Let go before the end of the process, which the server may hear of later than the next who asks.
        let unlocked = sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK).execute(&mut guard);
        let _ = answered(ANSWER, unlocked).await;
        let _ = answered(ANSWER, guard.close()).await;
        rotation
    }

    async fn rotate_alone(&self, progress: &mut impl FnMut(&Rotation)) -> Result<Rotation, KeysError> {
        let master = self.0.wrapper.rotate().await?;
        failpoint::hit("rotate.made");
        answered(ANSWER, store::enter_master(&self.0.pool, &master)).await?;
        let counts = store::count(&self.0.pool).await?;
        let total = counts.iter().filter(|(id, ..)| *id != master).map(|(.., count)| count).sum::<i64>();
        let mut rotation = Rotation { master, rewrapped: 0, total: total.try_into().unwrap_or_default() };
        let mut tries = 0;
        loop {
            tries += 1;
            self.rewrap_all(&mut rotation, progress).await?;
            match store::remove_other_masters(&self.0.pool, &rotation.master).await {
                Ok(()) => break,
                Err(error) if tries < TRIES && is_of_no_master(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        failpoint::hit("rotate.rewrapped");
        self.0.wrapper.retire().await?;
        Ok(rotation)
    }

    /// Goes once through all keys.
    async fn rewrap_all(
        &self,
        rotation: &mut Rotation,
        progress: &mut impl FnMut(&Rotation),
    ) -> Result<(), KeysError> {
        self.rewrap_secret(rotation).await?;
        let mut after = None;
        loop {
            progress(rotation);
            let page = store::wrapped_otherwise(&self.0.pool, &rotation.master, after.as_ref(), STEP).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.owner.clone());
            let bound = page.iter().map(|key| (key.aad(), key.wrapped.clone())).collect();
            let wrapped = self.wrapped_anew(bound).await?;
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
        for wrapped in self.wrapped_anew(vec![(secret_aad(id), wrapped)]).await? {
            store::put_secret(&self.0.pool, ID_SECRET, id, &wrapped).await?;
            rotation.rewrapped += 1;
        }
        Ok(())
    }

    async fn wrapped_anew(&self, keys: Vec<(String, Wrapped)>) -> Result<Vec<Wrapped>, KeysError> {
        let bound =
            keys.iter().map(|(aad, wrapped)| WrappedKey { aad: aad.clone(), wrapped: wrapped.clone() });
        let secrets = self.0.wrapper.unwrap(bound.collect()).await?;
        let bare = keys.into_iter().zip(secrets).map(|((aad, wrapped), secret)| match secret {
            Some(secret) => Ok(PlainKey { aad, secret }),
            None => Err(self.wrong_master(&wrapped.master)),
        });
        self.0.wrapper.wrap(bare.collect::<Result<_, _>>()?).await
    }
}
