//! Recovery times after faults.

use super::history::{History, Kind};
use std::time::{Duration, Instant};

/// A completed step.
#[derive(Debug)]
pub(super) struct Over {
    /// The name of the step.
    pub(super) kind: String,
    /// When the fault ended: a freeze at its end, a kill when the process was gone.
    pub(super) at: Instant,
    /// The time until every partition was written and read again, if the run waited for that.
    pub(super) whole: Option<Duration>,
}

/// The recovery times after a fault.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// Until a later write was answered with success.
    pub write: Option<Duration>,
    /// Until a later read was answered with success.
    pub read: Option<Duration>,
    /// Until every partition was written and read again, if the run waited for that.
    pub whole: Option<Duration>,
}

impl Over {
    /// The recovery times in the clients' history.
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
