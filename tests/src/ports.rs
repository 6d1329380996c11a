//! Ports for processes that must be told theirs.

use std::net::TcpListener;

/// A port of loopback that nobody listens on.
///
/// # Panics
/// There is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
