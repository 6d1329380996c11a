//! Whether new sessions can write, and which of a pool's sessions are therefore not used again.
//!
//! PostgreSQL fixes the defaults of a session when it connects. One that was made under `default_transaction_read_only=on`, or on a
//! standby, may stay unable to write (SQLSTATE 25006) long after the server takes writes again, and it looks healthy all the while.

use sqlx::PgConnection;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A pool counts a session's age from a moment after the look.
const MARGIN: Duration = Duration::from_secs(1);

/// What a pool's new sessions showed.
#[derive(Clone)]
pub(super) struct Writable {
    /// As the pool's sessions are named.
    name: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// When a session was last made that can't write.
    refused: Option<Instant>,
    /// Whether the newest session is one of those.
    is_read_only: bool,
}

impl Writable {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, state: Arc::default() }
    }

    /// Asks a new session. One that can't write is used all the same, once: its error says more to the caller than no connection would.
    pub(super) async fn look(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let asked = sqlx::query_scalar("SELECT current_setting('transaction_read_only')::bool");
        self.seen(asked.fetch_one(connection).await?, Instant::now());
        Ok(())
    }

    /// Whether a session of that age was made when one could not write, so that it is to be closed and another one made.
    pub(super) fn is_stale(&self, age: Duration) -> bool {
        let refused = self.state.lock().unwrap_or_else(PoisonError::into_inner).refused;
        refused.is_some_and(|refused| refused.elapsed() <= age.saturating_add(MARGIN))
    }

    fn seen(&self, is_read_only: bool, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if is_read_only {
            state.refused = Some(now);
        }
        let was_read_only = std::mem::replace(&mut state.is_read_only, is_read_only);
        match (was_read_only, is_read_only) {
            (false, true) => tracing::error!(
                sessions = self.name,
                "PostgreSQL is read-only: it is a standby, or default_transaction_read_only is on. Nothing can be written until that \
                 changes; it is tried again all the time"
            ),
            (true, false) => tracing::info!(sessions = self.name, "PostgreSQL takes writes again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_could_not_write_is_not_used_again() {
        let writable = Writable::new("test");
        let long_ago = Duration::from_secs(3_600);
        assert!(!writable.is_stale(long_ago), "none was refused");
        let now = Instant::now();
        writable.seen(true, now.checked_sub(Duration::from_secs(10)).unwrap());
        assert!(writable.is_stale(Duration::from_secs(10)), "itself");
        assert!(writable.is_stale(long_ago), "those from before");
        assert!(!writable.is_stale(Duration::from_secs(5)), "a younger one");
        writable.seen(false, now);
        assert!(writable.is_stale(Duration::from_secs(10)), "it stays what it is");
    }
}
