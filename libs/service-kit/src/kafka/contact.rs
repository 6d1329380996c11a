//! Tracks whether a client has a broker connection, and since when it has none.
//!
//! A client that lost its last broker finds it again by itself, except in one case: a broker that
//! has just resumed may answer that there are no brokers. librdkafka (2.12.1) then drops the one it
//! knows and may fail to return to `bootstrap.servers`. So a client without a broker for long is
//! replaced by its owner. That does no harm if the brokers really are away.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Longer than any append may be in flight, and than it takes to find a broker again.
const LOST: Duration = Duration::from_secs(15);

/// Since when a client has had no broker.
#[derive(Debug, Default)]
pub struct Contact(Mutex<Option<Instant>>);

impl Contact {
    /// Records whether a broker is connected.
    pub fn seen(&self, is_up: bool) {
        let mut since = self.since();
        *since = if is_up { None } else { Some(since.unwrap_or_else(Instant::now)) };
    }

    /// Whether the client has been without a broker for so long that it should be replaced. If so,
    /// the time starts again.
    pub fn is_lost(&self) -> bool {
        let mut since = self.since();
        let is_lost = since.is_some_and(|since| since.elapsed() >= LOST);
        if is_lost {
            *since = Some(Instant::now());
        }
        is_lost
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
