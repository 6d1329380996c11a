//! The settings: environment variables, read once at the start, refused by name when unknown or bad.

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

use events_schema::analytics::Level;
use source::Source;
use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

/// Everything that can be set. No `Debug`: it holds passwords.
#[derive(Clone)]
pub struct Settings {
    /// `ROLLCALL_ADDR`
    pub addr: SocketAddr,
    /// `ROLLCALL_URL`: as given, without a slash at its end; where it is not given, it follows from the listener.
    pub url: Option<String>,
    /// `ROLLCALL_HOME`
    pub home: PathBuf,
    /// `DATABASE_URL` (or `DATABASE_URL_FILE`)
    pub database_url: Option<String>,
    /// `REDIS_URL` (or `REDIS_URL_FILE`)
    pub redis_url: Option<String>,
    /// `KAFKA_BROKERS` (or `KAFKA_BROKERS_FILE`)
    pub kafka_brokers: Option<String>,
    /// `ROLLCALL_KAFKA_PORT`; `None`: not set, so 9092 or the next free one
    pub kafka_port: Option<u16>,
    /// `ROLLCALL_TOPIC_PREFIX`
    pub topic_prefix: String,
    /// `ROLLCALL_PARTITIONS`
    pub partitions: u32,
    /// Whether `ROLLCALL_PARTITIONS` was set, so that topics with another count are refused.
    pub is_partitions_given: bool,
    /// Whose tokens are believed.
    pub jwt: JwtSettings,
    /// `ROLLCALL_MASTER_KEY_FILE`; `None`: `$ROLLCALL_HOME/master.key`
    pub master_key_file: Option<PathBuf>,
    /// `ROLLCALL_VAULT_*`; `None`: the master key is in the file.
    pub vault: Option<VaultSettings>,
    /// `ROLLCALL_KEYS_DATABASE_URL` (or `ROLLCALL_KEYS_DATABASE_URL_FILE`); `None`: the key store is in the read model's database
    pub keys_database_url: Option<String>,
    /// `ROLLCALL_VISIBILITY_TIMEOUT`
    pub visibility_timeout: Duration,
    /// `ROLLCALL_ANALYTICS_LEVEL`
    pub analytics_level: Level,
    /// `ROLLCALL_LOG`
    pub log: String,
    /// `ROLLCALL_KAFKA__*`: librdkafka's own keys
    pub kafka: BTreeMap<String, String>,
}

/// A setting that is unknown, bad or missing; the text names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct SettingsError {
    /// The variable.
    pub name: String,
    /// What is wrong; never the value.
    pub reason: String,
}

/// A store that is needed and that no setting names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}: is not set")]
pub struct NotSet(
    /// The variable.
    pub &'static str,
);

impl SettingsError {
    pub(crate) fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }
}

impl Settings {
    /// From this process' environment; `default_addr` is the listener's default.
    ///
    /// # Errors
    /// The first variable that is unknown or bad.
    pub fn from_env(default_addr: &str) -> Result<Self, SettingsError> {
        let vars: Result<Vec<_>, _> = std::env::vars_os().filter_map(as_text).collect();
        Self::from_vars(vars?, default_addr)
    }

    /// From any variables; those that are not ours are passed over.
    ///
    /// # Errors
    /// The first variable that is unknown or bad.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
        default_addr: &str,
    ) -> Result<Self, SettingsError> {
        let source = Source::new(vars)?;
        Ok(Self {
            addr: addr(&source, default_addr)?,
            url: source.optional("ROLLCALL_URL", "an http or https URL", parse::base_url)?,
            home: source.parsed("ROLLCALL_HOME", "a path", parse::word)?.into(),
            database_url: source.optional("DATABASE_URL", "a postgres:// URL", |text| {
                parse::url(text, &["postgres", "postgresql"])
            })?,
            redis_url: source.optional("REDIS_URL", "a redis:// or rediss:// URL", |text| {
                parse::url(text, &["redis", "rediss", "unix", "redis+unix"])
            })?,
            kafka_brokers: source.optional(
                "KAFKA_BROKERS",
                "host:port, several parted by commas",
                parse::brokers,
            )?,
            kafka_port: source.optional("ROLLCALL_KAFKA_PORT", "a port, 1 to 65535", |text| {
                text.parse().ok().filter(|port| *port > 0)
            })?,
            topic_prefix: source.parsed(
                "ROLLCALL_TOPIC_PREFIX",
                "at most 200 characters of A-Z a-z 0-9 . _ -",
                parse::topic_prefix,
            )?,
            partitions: source.parsed("ROLLCALL_PARTITIONS", "a number, 1 to 1000", |text| {
                text.parse().ok().filter(|count| (1..=1000).contains(count))
            })?,
            is_partitions_given: source.given("ROLLCALL_PARTITIONS")?.is_some(),
            jwt: JwtSettings::read(&source)?,
            master_key_file: source
                .optional("ROLLCALL_MASTER_KEY_FILE", "a path", parse::word)?
                .map(PathBuf::from),
            vault: VaultSettings::read(&source)?,
            keys_database_url: source.optional(
                "ROLLCALL_KEYS_DATABASE_URL",
                "a postgres:// URL",
                |text| parse::url(text, &["postgres", "postgresql"]),
            )?,
            visibility_timeout: source.parsed(
                "ROLLCALL_VISIBILITY_TIMEOUT",
                "a duration such as 500ms, 5s or 2m, at most an hour",
                parse::duration,
            )?,
            analytics_level: source.parsed("ROLLCALL_ANALYTICS_LEVEL", "1, 2 or 3", parse::level)?,
            log: source.parsed(
                "ROLLCALL_LOG",
                "a filter such as info or info,projector=debug",
                crate::telemetry::checked,
            )?,
            kafka: kafka::keys(&source)?,
        })
    }

    /// `DATABASE_URL`, which must be there.
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

    /// `REDIS_URL`, which must be there.
    ///
    /// # Errors
    /// It is not set.
    pub fn redis_url(&self) -> Result<&str, NotSet> {
        required("REDIS_URL", self.redis_url.as_deref())
    }

    /// `KAFKA_BROKERS`, which must be there.
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

fn addr(source: &Source, default: &str) -> Result<SocketAddr, SettingsError> {
    source.parsed("ROLLCALL_ADDR", "an address and a port such as 127.0.0.1:8080", |text| {
        // The table has no default for it: each service has its own.
        if text.is_empty() { default } else { text }.parse().ok()
    })
}

/// A variable as text; one of ours that is no UTF-8 is refused, any other passed over.
fn as_text((name, value): (OsString, OsString)) -> Option<Result<(String, String), SettingsError>> {
    let name = name.to_string_lossy().into_owned();
    match value.into_string() {
        Ok(value) => Some(Ok((name, value))),
        Err(_) if source::is_ours(&name) => Some(Err(SettingsError::new(name, "must be UTF-8"))),
        Err(_) => None,
    }
}
