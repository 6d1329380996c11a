//! Whether a client has a broker, and since when it has none.
//!
//! A client that lost its last broker finds it again by itself, but for one case: a broker that has just thawed may answer that there are no
//! brokers; librdkafka (2.12.1) then drops the one that it knows, and may forget to begin anew from `bootstrap.servers`. So a client that has been
//! without a broker for long is made anew by whoever holds it, which costs nothing where the brokers really are away.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Longer than any append of ours may be on its way, and than a broker needs to be found again.
const LOST: Duration = Duration::from_secs(15);

/// What is known of a client's brokers.
#[derive(Debug, Default)]
pub struct Contact(Mutex<Option<Instant>>);

impl Contact {
    /// Takes notice that a broker is there, or that none is.
    pub fn seen(&self, is_up: bool) {
        let mut since = self.since();
        *since = if is_up { None } else { Some(since.unwrap_or_else(Instant::now)) };
    }

    /// Whether no broker was there for so long that the client should be made anew; asked again, the time begins anew.
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
