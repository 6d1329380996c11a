//! Ports of the children. A child gets the same port at every start if it is free, and two homes never
//! pick the same one.

use super::home::Home;
use anyhow::Context;
use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    path::PathBuf,
};

/// The range of arbitrary ports. It is below the kernel's range for outgoing connections: a client that
/// connects to a port in that range while nobody listens may get the same port, and connect to itself.
const ANY: std::ops::Range<u16> = 20_000..32_000;

/// A port of the loopback interface. It is reserved until this is dropped.
pub(crate) struct Port {
    /// The number.
    pub(crate) number: u16,
    /// Keeps the port from other homes while the child does not listen yet, or is restarted. The kernel
    /// frees this socket however the process ends.
    _claim: UnixListener,
}

impl Port {
    /// Reserves the port, if it is free.
    fn claim(number: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("rollcall-port-{number}")).ok()?;
        let claim = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _claim: claim })
    }
}

/// The port of each child, stored in a file.
pub(crate) struct Ports {
    path: PathBuf,
    remembered: BTreeMap<String, u16>,
}

impl Ports {
    /// The ports of the last start. Empty if the file can't be read.
    pub(crate) fn load(home: &Home) -> Self {
        let path = home.join("ports");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let remembered = text.lines().filter_map(|line| line.split_once('='));
        let remembered =
            remembered.filter_map(|(name, port)| Some((name.to_owned(), port.parse().ok()?))).collect();
        Self { path, remembered }
    }

    /// Stores the ports for the next start.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let lines: String = self.remembered.iter().map(|(name, port)| format!("{name}={port}\n")).collect();
        fs::write(&self.path, lines).with_context(|| format!("can't write {}", self.path.display()))
    }

    /// Any free port.
    pub(crate) fn any(&mut self, name: &str) -> anyhow::Result<Port> {
        let width = u64::from(ANY.end - ANY.start);
        let random =
            || u16::try_from(RandomState::new().hash_one(name) % width).ok().map(|offset| ANY.start + offset);
        self.first_free(name, std::iter::from_fn(random).take(1000))
    }

    /// The first free port from `wanted` on.
    pub(crate) fn from(&mut self, name: &str, wanted: u16) -> anyhow::Result<Port> {
        self.first_free(name, wanted..wanted.saturating_add(1000))
    }

    /// Exactly this port. It is not stored, because it is a setting.
    pub(crate) fn exactly(wanted: u16) -> Option<Port> {
        Port::claim(wanted)
    }

    fn first_free(&mut self, name: &str, wanted: impl Iterator<Item = u16>) -> anyhow::Result<Port> {
        let remembered = self.remembered.get(name).copied();
        let port = remembered.into_iter().chain(wanted).find_map(Port::claim);
        let port = port.with_context(|| format!("no free port for {name}"))?;
        self.remembered.insert(name.to_owned(), port.number);
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        Ports { path: PathBuf::new(), remembered: BTreeMap::new() }
    }

    #[test]
    fn a_free_port_is_used_again() {
        let mut ports = ports();
        let first = ports.any("store").unwrap().number;
        assert_eq!(ports.any("store").unwrap().number, first);
    }

    #[test]
    fn two_homes_never_pick_the_same_port() {
        let first = ports().any("store").unwrap();
        let second = ports().from("store", first.number).unwrap();
        assert_ne!(second.number, first.number);
        assert!(Ports::exactly(first.number).is_none());
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(Ports::exactly(stranger.local_addr().unwrap().port()).is_none());
    }
}
