//! The settings: environment variables, read once at startup. Unknown or invalid ones are refused
//! by name.

mod jwt;
mod kafka;
mod names;
mod parse;
mod source;
#[cfg(test)]
mod tests;
mod vault;

pub use jwt::{Jwks, JwtSettings};
pub use vault::VaultSettings;

use crate::database;
use events_schema::analytics::Level;
use source::Source;
use std::{
    collections::BTreeMap, ffi::OsString, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration,
};

/// All settings. No `Debug`: they include passwords.
#[derive(Clone)]
pub struct Settings {
    /// `ROLLCALL_ADDR`
    pub addr: SocketAddr,
    /// `ROLLCALL_URL`, without a trailing slash. If not set, it is derived from the listener.
    pub url: Option<String>,
    /// `ROLLCALL_HOME`
    pub home: PathBuf,
    /// `DATABASE_URL` (or `DATABASE_URL_FILE`)
    pub database_url: Option<String>,
    /// `REDIS_URL` (or `REDIS_URL_FILE`)
    pub redis_url: Option<String>,
    /// `KAFKA_BROKERS` (or `KAFKA_BROKERS_FILE`)
    pub kafka_brokers: Option<String>,
    /// `ROLLCALL_KAFKA_PORT`; `None`: not set, so 9092 or the next free port
    pub kafka_port: Option<u16>,
    /// `ROLLCALL_TOPIC_PREFIX`
    pub topic_prefix: String,
    /// `ROLLCALL_PARTITIONS`
    pub partitions: u32,
    /// Whether `ROLLCALL_PARTITIONS` was set. Then topics with another count are refused.
    pub is_partitions_given: bool,
    /// Which tokens are trusted.
    pub jwt: JwtSettings,
    /// `ROLLCALL_MASTER_KEY_FILE`; `None`: `$ROLLCALL_HOME/master.key`
    pub master_key_file: Option<PathBuf>,
    /// `ROLLCALL_VAULT_*`; `None`: the master key is in the file
    pub vault: Option<VaultSettings>,
    /// `ROLLCALL_KEYS_DATABASE_URL` (or `ROLLCALL_KEYS_DATABASE_URL_FILE`); `None`: the key store
    /// is in the read model's database
    pub keys_database_url: Option<String>,
    /// `ROLLCALL_VISIBILITY_TIMEOUT`
    pub visibility_timeout: Duration,
    /// `ROLLCALL_ANALYTICS_LEVEL`
    pub analytics_level: Level,
    /// `ROLLCALL_CORS_ORIGINS`; empty: no browser origin may call
    pub cors_origins: Vec<String>,
    /// `ROLLCALL_REBUILD_RATE`: records per second; `None`: as many as possible
    pub rebuild_rate: Option<NonZeroU32>,
    /// `ROLLCALL_LOG`
    pub log: String,
    /// `ROLLCALL_KAFKA__*`: librdkafka's own settings
    pub kafka: BTreeMap<String, String>,
}

/// A setting that is unknown, invalid or missing. The text names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct SettingsError {
    /// The variable.
    pub name: String,
    /// What is wrong. Never contains the value.
    pub reason: String,
}

/// A required store that is not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}: is not set")]
pub struct NotSet(
    /// The variable.
    pub &'static str,
);

/// The setting with the address of the store that an error is about, as that error's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AtSetting(
    /// The variable.
    pub &'static str,
);

impl SettingsError {
    pub(crate) fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }
}

impl Settings {
    /// Reads the settings from this process's environment. `default_addr` is the listener's
    /// default.
    ///
    /// # Errors
    /// The first variable that is unknown or invalid.
    pub fn from_env(default_addr: &str) -> Result<Self, SettingsError> {
        let vars: Result<Vec<_>, _> = std::env::vars_os().filter_map(as_text).collect();
        Self::from_vars(vars?, default_addr)
    }

    /// Reads the settings from any variables. Those that are not ours are ignored.
    ///
    /// # Errors
    /// The first variable that is unknown or invalid.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
        default_addr: &str,
    ) -> Result<Self, SettingsError> {
        let source = Source::new(vars)?;
        Ok(Self {
            addr: addr(&source, default_addr)?,
            url: source.optional("ROLLCALL_URL", parse::BASE_URL)?,
            home: source.parsed("ROLLCALL_HOME", parse::PATH)?.into(),
            database_url: postgres_url(&source, "DATABASE_URL")?,
            redis_url: source.optional("REDIS_URL", parse::REDIS_URL)?,
            kafka_brokers: source.optional("KAFKA_BROKERS", parse::BROKERS)?,
            kafka_port: source.optional("ROLLCALL_KAFKA_PORT", parse::PORT)?,
            topic_prefix: source.parsed("ROLLCALL_TOPIC_PREFIX", parse::TOPIC_PREFIX)?,
            partitions: source.parsed("ROLLCALL_PARTITIONS", parse::PARTITIONS)?,
            is_partitions_given: source.given("ROLLCALL_PARTITIONS")?.is_some(),
            jwt: JwtSettings::read(&source)?,
            master_key_file: source.optional("ROLLCALL_MASTER_KEY_FILE", parse::PATH)?.map(PathBuf::from),
            vault: VaultSettings::read(&source)?,
            keys_database_url: postgres_url(&source, "ROLLCALL_KEYS_DATABASE_URL")?,
            visibility_timeout: source.parsed("ROLLCALL_VISIBILITY_TIMEOUT", parse::DURATION)?,
            analytics_level: source.parsed("ROLLCALL_ANALYTICS_LEVEL", parse::LEVEL)?,
            cors_origins: source.optional("ROLLCALL_CORS_ORIGINS", parse::ORIGINS)?.unwrap_or_default(),
            rebuild_rate: source.optional("ROLLCALL_REBUILD_RATE", parse::RATE)?,
            log: source.parsed("ROLLCALL_LOG", parse::LOG_FILTER)?,
            kafka: kafka::keys(&source)?,
        })
    }

    /// `DATABASE_URL`, which is required.
    ///
    /// # Errors
    /// It is not set.
    pub fn database_url(&self) -> Result<&str, NotSet> {
        required("DATABASE_URL", self.database_url.as_deref())
    }

    /// `ROLLCALL_MASTER_KEY_FILE`, or its default.
    pub fn master_key_file(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.home.join("master.key"))
    }

    /// `REDIS_URL`, which is required.
    ///
    /// # Errors
    /// It is not set.
    pub fn redis_url(&self) -> Result<&str, NotSet> {
        required("REDIS_URL", self.redis_url.as_deref())
    }

    /// `KAFKA_BROKERS`, which is required.
    ///
    /// # Errors
    /// It is not set.
    pub fn kafka_brokers(&self) -> Result<&str, NotSet> {
        required("KAFKA_BROKERS", self.kafka_brokers.as_deref())
    }
}

fn required<'a>(name: &'static str, value: Option<&'a str>) -> Result<&'a str, NotSet> {
    value.ok_or(NotSet(name))
}

/// The table has no default for it: each service has its own.
fn addr(source: &Source, default: &str) -> Result<SocketAddr, SettingsError> {
    match source.optional("ROLLCALL_ADDR", parse::ADDR)? {
        Some(addr) => Ok(addr),
        None => parse::ADDR.read("ROLLCALL_ADDR", default),
    }
}

/// The URL of a database, with parameters that a client takes.
fn postgres_url(source: &Source, name: &str) -> Result<Option<String>, SettingsError> {
    let url = source.optional(name, parse::POSTGRES_URL)?;
    let checked = url.as_deref().map_or(Ok(()), database::check_url);
    checked.map(|()| url).map_err(|reason| SettingsError::new(name, reason))
}

/// A variable as text. One of ours that is not UTF-8 is refused; any other is ignored.
fn as_text((name, value): (OsString, OsString)) -> Option<Result<(String, String), SettingsError>> {
    let name = name.to_string_lossy().into_owned();
    match value.into_string() {
        Ok(value) => Some(Ok((name, value))),
        Err(_) if source::is_ours(&name) => Some(Err(SettingsError::new(name, "must be UTF-8"))),
        Err(_) => None,
    }
}
