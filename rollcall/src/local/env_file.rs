//! `$ROLLCALL_HOME/env`: the addresses of the running service and its stores, for the other verbs and for
//! scripts.

use super::home::{Home, write_private};
use anyhow::Context as _;
use service_kit::settings::Settings;
use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// The variable that says which log of the brokers is meant.
pub(crate) const TOPIC_PREFIX: &str = "ROLLCALL_TOPIC_PREFIX";

/// The file. It is removed when this is dropped.
pub(crate) struct EnvFile(PathBuf);

impl EnvFile {
    /// Writes the file, for a service that listens at `listener`.
    pub(crate) fn write(home: &Home, settings: &Settings, listener: SocketAddr) -> anyhow::Result<Self> {
        let lines: String =
            addresses(settings, listener).iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let path = home.join("env");
        write_private(&path, &lines)?;
        Ok(Self(path))
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes the file of a service that was killed.
pub(crate) fn remove_stale(home: &Home) {
    let _ = fs::remove_file(home.join("env"));
}

/// Reads the file. A missing file is empty.
///
/// # Errors
/// The file exists, but can't be read.
pub(crate) fn read(home: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let path = home.join("env");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("can't read {}", path.display()))?,
    };
    let lines = text.lines().filter_map(|line| line.split_once('='));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The known addresses, as variables, and the topic prefix.
pub(crate) fn addresses(settings: &Settings, listener: SocketAddr) -> Vec<(&'static str, String)> {
    let stores = [
        ("DATABASE_URL", &settings.database_url),
        ("REDIS_URL", &settings.redis_url),
        ("KAFKA_BROKERS", &settings.kafka_brokers),
    ];
    let stores = stores.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let prefix = Some(settings.topic_prefix.clone()).filter(|prefix| !prefix.is_empty());
    let prefix = prefix.map(|prefix| (TOPIC_PREFIX, prefix));
    std::iter::once(("ROLLCALL_URL", url(settings, listener))).chain(stores).chain(prefix).collect()
}

/// The base URL of the service: the setting, or the address of the listener.
pub(crate) fn url(settings: &Settings, listener: SocketAddr) -> String {
    settings.url.clone().unwrap_or_else(|| format!("http://{}", reachable(listener)))
}

/// The address that clients connect to. A listener on all interfaces is reached on loopback.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_interfaces_is_reached_on_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("127.0.0.2:80".parse().unwrap()).to_string(), "127.0.0.2:80");
    }
}
