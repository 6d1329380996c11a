//! How long it took after a fault.

use super::history::{History, Kind};
use std::time::{Duration, Instant};

/// A step that is over.
#[derive(Debug)]
pub(super) struct Over {
    /// What it was.
    pub(super) kind: String,
    /// When: a freeze at its end, a process when it was gone.
    pub(super) at: Instant,
    /// How long from there until every partition was written and read again, where that was waited for.
    pub(super) whole: Option<Duration>,
}

/// How long after a fault it took.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// Until a write that was sent after it was answered with success.
    pub write: Option<Duration>,
    /// Until a read that was sent after it was.
    pub read: Option<Duration>,
    /// Until every partition was written and read again, where that was waited for.
    pub whole: Option<Duration>,
}

impl Over {
    /// What the clients saw of the recovery.
    pub(super) fn recovery(&self, history: &History) -> Recovery {
        let first = |of: fn(Kind) -> bool| {
            let sent_after =
                history.operations.iter().filter(|operation| of(operation.kind) && operation.sent >= self.at);
            let well =
                sent_after.filter(|operation| operation.status().is_some_and(|status| status / 100 == 2));
            well.map(|operation| operation.answered - self.at).min()
        };
        Recovery { write: first(Kind::is_write), read: first(|kind| !kind.is_write()), whole: self.whole }
    }
}
