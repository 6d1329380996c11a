//! Picks free ports.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
    sync::{LazyLock, Mutex, PoisonError},
};
use uuid::Uuid;

/// The range is below that of outgoing connections (`ip_local_port_range`). Otherwise a connection
/// could take the port before a process listens on it, or while the process restarts.
const FIRST: u128 = 15_000;
const COUNT: u128 = 17_000;
const TRIES: u32 = 200;

/// Ports that tests of this process have. While a test's process restarts, nothing listens on its
/// port, and another test must not get it.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A free port of the loopback interface. Each call gives another one.
///
/// # Panics
/// There is none.
pub fn free_port() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    (0..TRIES)
        .find_map(|_| chance().filter(|port| is_free(port) && given.insert(*port)))
        .expect("no free port")
}

fn chance() -> Option<u16> {
    u16::try_from(FIRST + Uuid::new_v4().as_u128() % COUNT).ok()
}

fn is_free(port: &u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
}
