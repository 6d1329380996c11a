//! Picks free ports.

use std::net::{Ipv4Addr, TcpListener};
use uuid::Uuid;

/// The range is below that of outgoing connections (`ip_local_port_range`). Otherwise a connection
/// could take the port before a process listens on it, or while the process restarts.
const FIRST: u128 = 15_000;
const COUNT: u128 = 17_000;
const TRIES: u32 = 200;

/// A free port of the loopback interface.
///
/// # Panics
/// There is no item.
pub fn free_port() -> u16 {
    (0..TRIES).find_map(|_| chance().filter(is_free)).expect("no free port")
}

fn chance() -> Option<u16> {
    u16::try_from(FIRST + Uuid::new_v4().as_u128() % COUNT).ok()
}

fn is_free(port: &u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
}
