//! Failpoints that a run must hit at least once.

use crate::Service;

/// A window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// The name of the failpoint.
    pub point: &'static str,
    /// The service that passes it.
    pub service: Service,
    /// What is done at that point, and what is not done yet.
    pub meaning: &'static str,
}

const fn window(point: &'static str, service: Service, meaning: &'static str) -> Window {
    Window { point, service, meaning }
}

/// All windows, in the order of a write.
pub const WINDOWS: [Window; 7] = [
    window("append.before", Service::Command, "before the append"),
    window("append.after", Service::Command, "after the append"),
    window("fold.loaded", Service::Projector, "in the batch: states loaded"),
    window("fold.marked", Service::Projector, "after Redis and before the announcement"),
    window("fold.committing", Service::Projector, "in the transaction"),
    window("fold.committed", Service::Projector, "between Postgres and Redis"),
    window("fold.cached", Service::Projector, "after the bodies are in Redis"),
];

impl Window {
    /// The value of `FAILPOINTS` that triggers the failpoint after some passes.
    pub fn after(&self, passes: u64) -> String {
        match passes {
            0 => format!("{}=return", self.point),
            n => format!("{}={n}*off->return", self.point),
        }
    }

    /// How often it triggered, from a process's log.
    pub fn hits(&self, output: &str) -> usize {
        let line = format!("fault point {}", self.point);
        output.lines().filter(|printed| *printed == line).count()
    }
}
