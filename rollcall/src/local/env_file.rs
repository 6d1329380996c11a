//! `$ROLLCALL_HOME/env`: where the running service and its stores are, for the other verbs and for scripts.

use super::home::{Home, write_private};
use service_kit::settings::Settings;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// The file, there as long as this is.
pub(crate) struct EnvFile(PathBuf);

impl EnvFile {
    /// Writes it, for a service that listens at `listener`.
    pub(crate) fn write(home: &Home, settings: &Settings, listener: SocketAddr) -> anyhow::Result<Self> {
        let lines: String =
            of(settings, listener).iter().map(|(name, value)| format!("{name}={value}\n")).collect();
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

/// What a service that was killed may have left: it is not true any more.
pub(crate) fn remove_stale(home: &Home) {
    let _ = fs::remove_file(home.join("env"));
}

/// What it says; nothing where there is none.
pub(crate) fn read(home: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(home.join("env")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The variables that say where everything is, as far as it is known.
pub(crate) fn of(settings: &Settings, listener: SocketAddr) -> Vec<(&'static str, String)> {
    let stores = [
        ("DATABASE_URL", &settings.database_url),
        ("REDIS_URL", &settings.redis_url),
        ("KAFKA_BROKERS", &settings.kafka_brokers),
    ];
    let stores = stores.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    std::iter::once(("ROLLCALL_URL", url(settings, listener))).chain(stores).collect()
}

/// The base URL of the service, as set or as it follows from the listener.
pub(crate) fn url(settings: &Settings, listener: SocketAddr) -> String {
    settings.url.clone().unwrap_or_else(|| format!("http://{}", reachable(listener)))
}

/// An address that can be called: a listener on every interface is reached on loopback.
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
    fn a_listener_on_every_interface_is_called_on_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("127.0.0.2:80".parse().unwrap()).to_string(), "127.0.0.2:80");
    }
}
