//! Whether new sessions can write, and which existing sessions to close because they can't.
//!
//! PostgreSQL fixes a session's defaults when it connects. A session made under
//! `default_transaction_read_only=on`, or on a standby, may remain unable to write (SQLSTATE 25006)
//! long after the server accepts writes again, and it looks healthy.

use sqlx::PgConnection;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A pool measures a session's age from a moment after the probe.
const MARGIN: Duration = Duration::from_secs(1);

/// What the pool's new sessions reported.
#[derive(Clone)]
pub(super) struct Writable {
    /// The sessions' `application_name`.
    name: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// When the last session that can't write was created.
    refused: Option<Instant>,
    /// Whether the newest session can't write.
    is_read_only: bool,
}

impl Writable {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, state: Arc::default() }
    }

    /// Probes a new session. One that can't write is still used once: its error tells the caller
    /// more than a missing connection would.
    pub(super) async fn probe(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let asked = sqlx::query_scalar("SELECT current_setting('transaction_read_only')::bool");
        self.seen(asked.fetch_one(connection).await?, Instant::now());
        Ok(())
    }

    /// Whether a session of that age was created while sessions could not write. Then it must be
    /// replaced.
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
                "PostgreSQL is read-only: it is a standby, or default_transaction_read_only is on. Writes fail until that \
                 changes; retrying continuously"
            ),
            (true, false) => tracing::info!(sessions = self.name, "PostgreSQL accepts writes again"),
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
