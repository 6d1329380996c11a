//! Keys for owners that have none.

use super::{
    ANSWER, DataKey, KeyRing, Keys, KeysError, LOOK, Origin, Owner, Uses, is_of_no_master, random, rotate,
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

/// How long a key is tried to be stored while a rotation makes another master key known.
const PATIENCE: Duration = Duration::from_secs(3);

/// New keys by their owners.
type New<'o> = HashMap<&'o Owner, Arc<DataKey>>;

impl Keys {
    /// The keys of these owners, made where there are none. They are in the store for good before anything is sealed under them. `origin`
    /// is noted with each that is made.
    ///
    /// # Errors
    /// A store can't be reached, the key store belongs to another deployment, or the master key is lost or wrong.
    pub async fn get_or_create(&self, owners: &[Owner], origin: &Origin) -> Result<KeyRing, KeysError> {
        self.check().await?;
        let moment = self.0.cache.moment();
        let uses = self.uses(owners);
        let mut new = New::new();
        for owner in owners {
            let key = DataKey::new(Uuid::new_v4(), random()?).in_use(uses.get(owner).cloned());
            new.insert(owner, Arc::new(key));
        }
        let mut ring = KeyRing::new();
        let mut theirs = Vec::new();
        let rows = self.added(&new, origin).await?;
        if rows.is_empty() && !owners.is_empty() {
            return Err(self.not_ours(origin.deployment).await);
        }
        for row in rows {
            match new.get(&row.owner).filter(|key| key.id() == row.id) {
                Some(key) => drop(ring.insert(row.owner, key.clone())),
                None => theirs.push(row),
            }
        }
        ring.extend(self.opened(theirs, &uses).await?);
        self.0.cache.put(
            ring.iter().map(|(owner, key)| (owner.clone(), key.clone())),
            moment,
            Instant::now(),
        );
        Ok(ring)
    }

    /// Opens what was there before. A rotation may have ended since it was read.
    async fn opened(
        &self,
        stored: Vec<Stored>,
        uses: &Uses,
    ) -> Result<Vec<(Owner, Arc<DataKey>)>, KeysError> {
        let owners: Vec<Owner> = stored.iter().map(|key| key.owner.clone()).collect();
        match self.unwrap(stored, uses).await {
            Err(KeysError::Refused(_)) => self.found(&owners).await,
            opened => opened,
        }
    }

    /// Stores keys of owners that have none. While a rotation goes on, the master key may be another one a moment later.
    async fn added(&self, new: &New<'_>, origin: &Origin) -> Result<Vec<Stored>, KeysError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match answered(ANSWER, store::add(&self.0.pool, self.wrapped(new).await?, origin)).await {
                Err(error) if is_of_no_master(&error) && Instant::now() < give_up => {
                    self.enter_current().await?;
                    tokio::time::sleep(LOOK).await;
                }
                added => return Ok(added?),
            }
        }
    }

    /// A rotation that was cut off may have left a master key that wraps and is not entered. While one goes on, to enter it is its own to do:
    /// so none that is about to be destroyed is entered here; nor one of a file that is older than the last rotation, or another deployment's.
    async fn enter_current(&self) -> Result<(), KeysError> {
        let mut transaction = answered(ANSWER, self.0.pool.begin()).await?;
        if answered(ANSWER, rotate::is_alone(&mut transaction)).await? {
            self.0.wrapper.has(answered(ANSWER, store::masters(&mut *transaction)).await?).await?;
            let current = self.0.wrapper.current().await?;
            answered(ANSWER, store::enter_master(&mut *transaction, &current)).await?;
        }
        Ok(answered(ANSWER, transaction.commit()).await?)
    }

    async fn wrapped(&self, new: &New<'_>) -> Result<Vec<Stored>, KeysError> {
        let bare = new
            .iter()
            .map(|(owner, key)| PlainKey { aad: aad(owner, key.id()), secret: key.secret().clone() });
        let wrapped = self.0.wrapper.wrap(bare.collect()).await?;
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
