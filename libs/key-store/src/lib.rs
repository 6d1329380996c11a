//! Data keys, one for each owner of sealed data: creates, finds, briefly caches and destroys them.
//!
//! They are stored wrapped under a master key that is kept elsewhere. Once an owner's key is
//! destroyed, nobody can read what was sealed under it, whoever has copies.
//!
//! Keys are looked up in `find.rs`, created in `get_or_create.rs`, and destroyed in `destroy.rs`.

mod cache;
mod cache_lease;
mod deployment;
mod destroy;
mod error;
mod find;
mod get_or_create;
mod health;
mod key_cache;
mod key_file;
mod master;
mod old_key_store;
mod origin;
mod pages;
mod rotate;
mod schema;
mod store;
mod vault;
mod wrapper;

pub use deployment::{Binding, wrong_deployment};
pub use domain::codec::{DataKey, KeyRing, Owner, SealError, SealedBytes};
pub use error::KeysError;
pub use key_cache::KeyCache;
pub use old_key_store::OldKeyStore;
pub use origin::{KeyWithOrigin, Origin};
pub use pages::{MasterCount, StoredKey};
pub use rotate::Rotation;

use cache::Cache;
use domain::codec::Secret;
use error::{breaks_a_master_reference, retry_once};
use find::Uses;
use key_file::KeyFile;
use service_kit::{
    database::{self, KeptConnections, Role},
    health::Probe,
    settings::Settings,
};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::sync::{OnceCell, watch};
use uuid::Uuid;
use vault::Vault;
use wrapper::Wrapper;

/// Number of connections for programs that query rarely, or for many keys at once.
const CONNECTIONS: u32 = 2;
/// How long one reply of the key store may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// How long the first check at startup may take.
const FIRST_CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest interval between checks whether a key is destroyed.
const MAX_CHECK_INTERVAL: Duration = Duration::from_millis(40);
/// The name of the secret that ids are derived with.
const ID_SECRET: &str = "ids";

/// Access to all keys. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    url: String,
    pool: PgPool,
    /// For lookups, one after another.
    connections: KeptConnections,
    /// For health checks, which must not take a connection from those who need a key.
    checks: PgPool,
    /// Checks whether a separate key store accepts writes.
    writes: Option<Probe>,
    wrapper: Arc<dyn Wrapper>,
    cache: KeyCache,
    /// Set once the master key is known to be right.
    id_secret: OnceCell<Arc<DataKey>>,
    is_separate: bool,
    stop: watch::Sender<bool>,
}

impl Keys {
    /// Opens the key store for a program that queries rarely, or for many keys at once. Nothing is
    /// cached. The stores need not be up yet.
    ///
    /// # Errors
    /// A setting is missing or invalid, or the master key's file is accessible to others.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        Self::with_cache(settings, CONNECTIONS, KeyCache::unused())
    }

    fn url(settings: &Settings) -> anyhow::Result<&str> {
        Ok(settings.keys_database_url.as_deref().map_or_else(|| settings.database_url(), Ok)?)
    }

    fn with_cache(settings: &Settings, connections: u32, cache: KeyCache) -> anyhow::Result<Self> {
        let apart = settings.keys_database_url.as_deref();
        let url = Self::url(settings)?.to_owned();
        let pool = database::by_key(database::pool(&url, Role::Keys, connections)?);
        let checks = database::by_key(database::pool(&url, Role::Keys, 1)?);
        let writes = apart.map(|url| Probe::new(url, None)).transpose()?;
        let wrapper: Arc<dyn Wrapper> = match &settings.vault {
            Some(vault) => Arc::new(Vault::new(vault)?),
            None => Arc::new(KeyFile::new(settings.master_key_file())),
        };
        wrapper.check_local()?;
        let (id_secret, stop) = (OnceCell::new(), watch::Sender::new(false));
        let is_separate = apart.is_some();
        let connections = KeptConnections::new(pool.clone(), 1);
        let inner =
            Inner { is_separate, url, pool, connections, checks, writes, wrapper, cache, id_secret, stop };
        Ok(Self(Arc::new(inner)))
    }

    /// Opens the key store for a service, with the process' cache and `connections` connections. If
    /// the stores answer, the master key is checked at once.
    ///
    /// # Errors
    /// A setting is missing or invalid, or the master key is lost, wrong, or accessible to others.
    pub async fn start(settings: &Settings, connections: u32, cache: &KeyCache) -> anyhow::Result<Self> {
        let keys = Self::with_cache(settings, connections, cache.clone())?;
        keys.check_if_reachable().await?;
        let (wrapper, mut stop) = (keys.0.wrapper.clone(), keys.0.stop.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                () = wrapper.maintain() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
        Ok(keys)
    }

    /// Whether the key store is in another database than the read model, so that no transaction can
    /// cover both.
    pub fn is_separate(&self) -> bool {
        self.0.is_separate
    }

    fn cache(&self) -> &Cache {
        &self.0.cache.cache
    }

    /// Stops the maintenance of the master key, and the process' cache: see [`KeyCache`].
    pub async fn stop(&self) {
        self.0.stop.send_replace(true);
        self.0.cache.stop().await;
    }
}

fn random() -> Result<Secret, KeysError> {
    Secret::random()
        .map_err(|_| KeysError::NeedsOperator("the system's random number generator failed".to_owned()))
}

fn secret_aad(id: Uuid) -> String {
    format!("{ID_SECRET}/{id}")
}
