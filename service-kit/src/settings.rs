//! The settings: environment variables, read once at the start, refused by name when unknown or bad.
// STUB: helper S1 replaces this by settings/ with one file per section. The fields and signatures below are relied on.

use events_schema::analytics::Level;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// Everything that can be set.
#[derive(Clone)]
pub struct Settings {
    /// `ROLLCALL_ADDR`
    pub addr: SocketAddr,
    /// `ROLLCALL_URL`: as given; where it is not, it follows from the listener.
    pub url: Option<String>,
    /// `ROLLCALL_HOME`
    pub home: PathBuf,
    /// `DATABASE_URL` (or `DATABASE_URL_FILE`)
    pub database_url: Option<String>,
    /// `REDIS_URL`
    pub redis_url: Option<String>,
    /// `KAFKA_BROKERS`
    pub kafka_brokers: Option<String>,
    /// `ROLLCALL_KAFKA_PORT`; `None`: not set, so 9092 or the next free one
    pub kafka_port: Option<u16>,
    /// `ROLLCALL_TOPIC_PREFIX`
    pub topic_prefix: String,
    /// `ROLLCALL_PARTITIONS`
    pub partitions: u32,
    /// Whose tokens are believed.
    pub jwt: JwtSettings,
    /// `ROLLCALL_MASTER_KEY_FILE`; `None`: `$ROLLCALL_HOME/master.key`
    pub master_key_file: Option<PathBuf>,
    /// `ROLLCALL_VISIBILITY_TIMEOUT`
    pub visibility_timeout: Duration,
    /// `ROLLCALL_ANALYTICS_LEVEL`
    pub analytics_level: Level,
    /// `ROLLCALL_LOG`
    pub log: String,
    /// `ROLLCALL_KAFKA__*`: librdkafka's own keys
    pub kafka: BTreeMap<String, String>,
}

/// Whose tokens are believed.
#[derive(Clone)]
pub struct JwtSettings {
    /// `ROLLCALL_JWKS_URL` or `ROLLCALL_JWKS_FILE`
    pub jwks: Jwks,
    /// `ROLLCALL_JWT_ISSUER`
    pub issuer: String,
    /// `ROLLCALL_JWT_AUDIENCE`
    pub audience: String,
    /// `ROLLCALL_TENANT_CLAIM`
    pub tenant_claim: String,
}

/// Where the key set is.
#[derive(Clone)]
pub enum Jwks {
    /// Fetched.
    Url(String),
    /// Read.
    File(PathBuf),
    /// The local key pair under `$ROLLCALL_HOME` (`jwt.key`, PKCS#8 PEM, mode 0600; `jwks.json`).
    Local,
}

/// A setting that is unknown, bad or missing; the text names it.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct SettingsError {
    /// The variable.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

impl Settings {
    /// From this process' environment; `default_addr` is the listener's default.
    ///
    /// # Errors
    /// The first variable that is unknown or bad.
    pub fn from_env(default_addr: &str) -> Result<Self, SettingsError> {
        Self::from_vars(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))), default_addr)
    }

    /// From any variables.
    ///
    /// # Errors
    /// The first variable that is unknown or bad.
    pub fn from_vars(_vars: impl IntoIterator<Item = (String, String)>, _default_addr: &str) -> Result<Self, SettingsError> {
        unimplemented!()
    }

    /// `DATABASE_URL`, which must be there.
    ///
    /// # Errors
    /// It is not set.
    pub fn database_url(&self) -> Result<&str, SettingsError> {
        unimplemented!()
    }

    /// `REDIS_URL`, which must be there.
    ///
    /// # Errors
    /// It is not set.
    pub fn redis_url(&self) -> Result<&str, SettingsError> {
        unimplemented!()
    }

    /// `KAFKA_BROKERS`, which must be there.
    ///
    /// # Errors
    /// It is not set.
    pub fn kafka_brokers(&self) -> Result<&str, SettingsError> {
        unimplemented!()
    }
}
