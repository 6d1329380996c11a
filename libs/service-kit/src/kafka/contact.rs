//! Tracks whether a client has a broker connection, and since when it has none.
//!
//! A client that lost its last broker finds it again by itself, except in one case: a broker that
//! has just resumed may answer that there are no brokers. librdkafka (2.12.1) then drops the one it
//! knows and may fail to return to `bootstrap.servers`. So a client that finds no broker, although
//! one accepts connections, is replaced by its owner. A client is kept while no broker is
//! reachable: it can't leave its group, so a new member would have to wait until the old one's
//! session ends.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Longer than any append may be in flight, and than it takes to find a broker again.
const LOST: Duration = Duration::from_secs(15);
/// How long a client may take to find a broker that accepts connections.
const RECONNECT: Duration = Duration::from_secs(5);
/// How often brokers are tried.
const TRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_millis(300);

/// Since when a client has had no broker.
#[derive(Debug, Default)]
pub struct Contact(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when no broker is connected.
    away: Option<Instant>,
    /// Since when a broker accepts connections all the same.
    reachable: Option<Instant>,
    /// When brokers were last tried.
    tried: Option<Instant>,
}

impl Contact {
    /// Records whether a broker is connected.
    pub fn seen(&self, is_up: bool) {
        let mut state = self.state();
        if is_up {
            *state = State::default();
        } else {
            state.away.get_or_insert_with(Instant::now);
        }
    }

    /// Whether the client has been without a broker for so long, although one of `brokers` accepts
    /// connections, that it should be replaced. If so, the time starts again. May block for a
    /// moment.
    pub fn is_lost(&self, brokers: &str) -> bool {
        {
            let mut state = self.state();
            let is_away = state.away.is_some_and(|away| away.elapsed() >= LOST);
            if !is_away || state.tried.is_some_and(|tried| tried.elapsed() < TRY_INTERVAL) {
                return false;
            }
            state.tried = Some(Instant::now());
        }
        let is_reachable = brokers.split(',').any(accepts_connections);
        let mut state = self.state();
        if !is_reachable {
            state.reachable = None;
            return false;
        }
        let is_lost = state.reachable.get_or_insert_with(Instant::now).elapsed() >= RECONNECT;
        if is_lost {
            *state = State { away: Some(Instant::now()), ..State::default() };
        }
        is_lost
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accepts_connections(broker: &str) -> bool {
    let Ok(mut addresses) = broker.trim().to_socket_addrs() else { return false };
    addresses.any(|address| TcpStream::connect_timeout(&address, TRY_TIMEOUT).is_ok())
}
