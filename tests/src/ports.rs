//! Ports for processes that must be told theirs.

use std::net::{Ipv4Addr, TcpListener};
use uuid::Uuid;

/// Below those that Linux gives to outgoing connections (`ip_local_port_range`): one of those may be somebody's own end of a connection by the
/// time a process listens there, or does so again after a crash.
const FIRST: u128 = 15_000;
const COUNT: u128 = 17_000;
const TRIES: u32 = 200;

/// A port of loopback that nobody listens on.
///
/// # Panics
/// There is none.
pub fn free_port() -> u16 {
    (0..TRIES).find_map(|_| chance().filter(is_free)).expect("no free port")
}

fn chance() -> Option<u16> {
    u16::try_from(FIRST + Uuid::new_v4().as_u128() % COUNT).ok()
}

fn is_free(port: &u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
}
