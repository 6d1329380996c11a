//! Data keys, one for each owner of something that is sealed: made, found, kept in memory for a moment, and destroyed.
//!
//! They are stored wrapped by a master key that is elsewhere. Once an owner's key is destroyed, nothing that was sealed under it can be
//! read by anybody, whoever has copies of it.

mod cache;
mod cache_lease;
mod deployment;
mod get_or_create;
mod key_file;
mod master;
mod old_key_store;
mod origin;
mod pages;
mod rotate;
mod store;
mod vault;
mod wrapper;

pub use deployment::{Binding, wrong_deployment};
pub use domain::codec::{DataKey, KeyRing, Owner, SealError, SealedBytes};
pub use old_key_store::OldKeyStore;
pub use origin::{KeyWithOrigin, Origin};
pub use pages::{MasterCount, StoredKey};
pub use rotate::Rotation;

use cache::Cache;
use domain::codec::{InUse, Secret};
use futures_util::FutureExt as _;
use key_file::KeyFile;
use service_kit::{
    database::{
        self, Role, answered,
        pooler::{self, PoolerError},
    },
    health::{Health, Probe},
    problem::Problem,
    settings::Settings,
    vacuum,
};
use sqlx::{Connection as _, PgExecutor, PgPool};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use store::Stored;
use tokio::sync::{OnceCell, watch};
use uuid::Uuid;
use vault::Vault;
use wrapper::{WrappedKey, Wrapper};

/// Connections to the key store, of who asks seldom, or for many keys at once.
const CONNECTIONS: u32 = 2;
/// For one answer of the key store.
const ANSWER: Duration = Duration::from_secs(4);
/// For a first look at the start.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// The longest pause between two looks whether a key is destroyed.
const LOOK: Duration = Duration::from_millis(40);
/// What ids are derived under.
const ID_SECRET: &str = "ids";

/// Why there are no keys to be had. The texts hold no key and no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A person must put something right: the master key is lost, wrong, or open to others.
    #[error("{0}")]
    Refused(String),
    /// The key store, or who keeps the master key, has no answer now.
    #[error("the key store can't be reached: {0}")]
    Away(String),
    /// The key store's database does not answer now.
    #[error("the key store can't be reached: no connection, or no answer in time")]
    NoAnswer,
}

impl From<sqlx::Error> for KeysError {
    fn from(error: sqlx::Error) -> Self {
        if pooler::is_pooler_error(&error) {
            return Self::Refused(format!("the key store: {PoolerError}"));
        }
        // A server's own words might repeat a row.
        let code = error.as_database_error().and_then(|error| error.code());
        code.map_or(Self::NoAnswer, |code| Self::Away(format!("SQLSTATE {code}")))
    }
}

/// For anybody who asks for the health: without the place of a file.
fn in_public(error: &KeysError) -> String {
    match error {
        KeysError::Refused(_) => {
            tracing::error!(%error, "there are no keys to be had");
            "the master key is lost, wrong or open to others, or Vault refuses the token: the log of this process says more".to_owned()
        }
        KeysError::Away(_) | KeysError::NoAnswer => error.to_string(),
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        tracing::warn!(%error, "there are no keys to be had");
        Self::unavailable("The key store can't be reached: nothing was changed, send it again", RETRY_AFTER)
    }
}

/// Seconds after which a client may well try again.
const RETRY_AFTER: u64 = 1;

/// SQLSTATE of a reference to something that is not there: of a key under a master key that a rotation has just removed.
const NO_SUCH_MASTER: &str = "23503";

/// What says of owners that their keys are in use.
type Uses = HashMap<Owner, InUse>;

/// The way to all keys. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    url: String,
    pool: PgPool,
    /// For the question whether the keys are there, which must not take a connection from those who need a key.
    checks: PgPool,
    /// How to find out whether a key store of its own takes writes.
    writes: Option<Probe>,
    wrapper: Arc<dyn Wrapper>,
    cache: Arc<Cache>,
    /// Set once the master key is known to be the right one.
    id_secret: OnceCell<Arc<DataKey>>,
    is_apart: bool,
    stop: watch::Sender<bool>,
}

impl Keys {
    /// Opens them for one who asks seldom, or for many keys at once: none is kept in memory. Nothing need be up yet.
    ///
    /// # Errors
    /// A setting is missing or bad, or the master key's file is open to others.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        Self::with_connections(settings, CONNECTIONS)
    }

    fn with_connections(settings: &Settings, connections: u32) -> anyhow::Result<Self> {
        let apart = settings.keys_database_url.as_deref();
        let url = apart.map_or_else(|| settings.database_url(), Ok)?.to_owned();
        let pool = database::by_key(database::pool(&url, Role::Keys, connections)?);
        let checks = database::by_key(database::pool(&url, Role::Keys, 1)?);
        let writes = apart.map(|url| Probe::new(url, None)).transpose()?;
        let wrapper: Arc<dyn Wrapper> = match &settings.vault {
            Some(vault) => Arc::new(Vault::new(vault)?),
            None => Arc::new(KeyFile::new(settings.master_key_file())),
        };
        wrapper.look()?;
        let (cache, id_secret, stop) = (Arc::default(), OnceCell::new(), watch::Sender::new(false));
        let is_apart = apart.is_some();
        Ok(Self(Arc::new(Inner { is_apart, url, pool, checks, writes, wrapper, cache, id_secret, stop })))
    }

    /// Opens them for a service, which keeps a few in memory for a moment and asks by so many `connections`. Where the stores answer, the master key is tried at once.
    ///
    /// # Errors
    /// A setting is missing or bad, or the master key is lost, wrong, or open to others.
    pub async fn start(settings: &Settings, connections: u32) -> anyhow::Result<Self> {
        let keys = Self::with_connections(settings, connections)?;
        keys.try_out().await?;
        tokio::spawn(cache_lease::hold(
            Arc::downgrade(&keys.0.cache),
            keys.0.pool.clone(),
            keys.0.stop.subscribe(),
        ));
        let (wrapper, mut stop) = (keys.0.wrapper.clone(), keys.0.stop.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                () = wrapper.tend() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
        Ok(keys)
    }

    /// Adds the key store to what a process needs.
    pub fn watch(&self, health: &Health) {
        let keys = self.clone();
        health.add("keys", move || {
            let keys = keys.clone();
            async move { keys.ping().await }.boxed()
        });
    }

    /// Whether the key store answers and takes writes, and the master key is there and the right one, which may be lost at any time.
    async fn ping(&self) -> Result<(), String> {
        let read = retry_once(|| self.read_id_secret(&self.0.checks)).await;
        read.map_err(|error| in_public(&error))?;
        match &self.0.writes {
            Some(apart) => apart.look().await,
            // The read model's database, which has a check of its own.
            None => Ok(()),
        }
    }

    /// Whether the key store is in another database than the read model, so that no transaction reaches both.
    pub fn is_apart(&self) -> bool {
        self.0.is_apart
    }

    /// The key of an owner, if there is one.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost or wrong.
    pub async fn of(&self, owner: &Owner) -> Result<Option<Arc<DataKey>>, KeysError> {
        Ok(self.get_many(std::slice::from_ref(owner)).await?.remove(owner))
    }

    /// The key of an owner, if it was asked for lately.
    pub fn get_cached(&self, owner: &Owner) -> Option<Arc<DataKey>> {
        self.0.cache.get(owner, Instant::now())
    }

    /// The keys that there are of these owners.
    ///
    /// # Errors
    /// A store can't be reached, or the master key is lost or wrong.
    pub async fn get_many(&self, owners: &[Owner]) -> Result<KeyRing, KeysError> {
        let now = Instant::now();
        let cached = |owner: &Owner| Some((owner.clone(), self.0.cache.get(owner, now)?));
        let mut ring: KeyRing = owners.iter().filter_map(cached).collect();
        let missing: Vec<Owner> = owners.iter().filter(|owner| !ring.contains_key(owner)).cloned().collect();
        if missing.is_empty() {
            return Ok(ring);
        }
        let moment = self.0.cache.moment();
        let found = self.found(&missing).await?;
        self.0.cache.put(
            found.iter().map(|(owner, key)| (owner.clone(), key.clone())),
            moment,
            Instant::now(),
        );
        ring.extend(found);
        Ok(ring)
    }

    /// The keys of owners as the store has them.
    async fn found(&self, owners: &[Owner]) -> Result<Vec<(Owner, Arc<DataKey>)>, KeysError> {
        let uses = self.uses(owners);
        let uses = &uses;
        retry_once(|| async move {
            self.unwrap(answered(ANSWER, store::find(&self.0.pool, owners)).await?, uses).await
        })
        .await
    }

    /// Notes that the keys of these owners are in use, from before they are asked for.
    fn uses(&self, owners: &[Owner]) -> Uses {
        owners.iter().map(|owner| (owner.clone(), self.0.cache.note_use(owner))).collect()
    }

    /// Unwraps what is stored. A key that its master key does not open is an error: it is not simply not there.
    async fn unwrap(
        &self,
        stored: Vec<Stored>,
        uses: &Uses,
    ) -> Result<Vec<(Owner, Arc<DataKey>)>, KeysError> {
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let bound = stored.iter().map(|key| WrappedKey { aad: key.aad(), wrapped: key.wrapped.clone() });
        let secrets = self.0.wrapper.unwrap(bound.collect()).await?;
        let key = |(stored, secret): (Stored, Option<Secret>)| match secret {
            Some(secret) => {
                let key = DataKey::new(stored.id, secret).in_use(uses.get(&stored.owner).cloned());
                Ok((stored.owner, Arc::new(key)))
            }
            None => Err(self.wrong_master(&stored.wrapped.master)),
        };
        stored.into_iter().zip(secrets).map(key).collect()
    }

    /// Destroys the keys of owners as a part of a transaction in the key store's database; every process is told with its commit.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn destroy_in(executor: impl PgExecutor<'_>, owners: &[Owner]) -> sqlx::Result<()> {
        store::destroy(executor, owners).await.map(drop)
    }

    /// Destroys the keys of owners; every process is told.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn destroy(&self, owners: &[Owner]) -> Result<(), KeysError> {
        answered(ANSWER, store::destroy(&self.0.pool, owners)).await?;
        Ok(())
    }

    /// Gives free what destroyed keys leave behind in PostgreSQL; whether that was all of it.
    ///
    /// # Errors
    /// The store can't be reached, or does not do it.
    pub async fn vacuum(&self) -> sqlx::Result<bool> {
        let mut connection = vacuum::connect(&self.0.pool).await?;
        let tables = ["data_keys", "dropping"].map(|table| format!("rollcall_keys.{table}"));
        let is_whole = vacuum::give_free(&mut connection, &tables).await?;
        connection.close().await?;
        Ok(is_whole)
    }

    /// Waits until an owner's key is destroyed and no process holds it in memory any more; whether that came in time.
    pub async fn is_destroyed(&self, owner: &Owner, deadline: Instant) -> bool {
        let destroyed = async {
            let mut pause = Duration::from_millis(1);
            loop {
                let asked = store::is_destroyed(&self.0.pool, owner, cache_lease::LEASE.as_secs_f64());
                match answered(ANSWER, asked).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = %KeysError::from(error), "it can't be asked whether a key is destroyed")
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LOOK);
            }
        };
        tokio::time::timeout_at(deadline.into(), destroyed).await.is_ok()
    }

    /// Drops what is kept in memory, and has nobody wait for this process any more.
    pub async fn stop(&self) {
        self.0.cache.forget();
        self.0.stop.send_replace(true);
        // Bounded by the store's answers; a process that is gone is not waited for longer than a lease.
        let _ = tokio::time::timeout(ANSWER, self.0.stop.closed()).await;
    }
}

/// Asks, and once more where a person were needed: a rotation may have ended between two of the questions, and what the first one found was
/// wrapped under a master key that is gone.
async fn retry_once<T, F: Future<Output = Result<T, KeysError>>>(
    ask: impl Fn() -> F,
) -> Result<T, KeysError> {
    match ask().await {
        Err(KeysError::Refused(_)) => ask().await,
        answer => answer,
    }
}

fn is_of_no_master(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == NO_SUCH_MASTER)
}

fn random() -> Result<Secret, KeysError> {
    Secret::random().map_err(|_| KeysError::Refused("the system has no randomness".to_owned()))
}

fn secret_aad(id: Uuid) -> String {
    format!("{ID_SECRET}/{id}")
}
