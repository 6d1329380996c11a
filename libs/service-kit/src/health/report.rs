//! The result of a round of checks: the state of each dependency, and whether the process is ready.

use serde::Serialize;
use std::collections::BTreeMap;

/// The result of a dependency's check.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(super) enum Dependency {
    Up,
    Down {
        reason: String,
        #[serde(skip)]
        is_needed: bool,
    },
}

/// The body of `/health/ready`.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) status: &'static str,
    pub(super) dependencies: BTreeMap<&'static str, Dependency>,
    /// What an operator should know although the process works.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) notes: BTreeMap<&'static str, String>,
}

impl Report {
    pub(super) fn of(all: impl IntoIterator<Item = (&'static str, Dependency)>) -> Self {
        let mut dependencies = BTreeMap::new();
        for (name, found) in all {
            let worst = match dependencies.remove(name) {
                Some(other) => found.or_worse(other),
                None => found,
            };
            dependencies.insert(name, worst);
        }
        let is_ready = dependencies.values().all(Dependency::is_acceptable);
        Self { status: if is_ready { "ready" } else { "not ready" }, dependencies, notes: BTreeMap::new() }
    }

    /// The report when a check panicked.
    pub(super) fn failed() -> Self {
        let reason = "the check failed: see the log of this process".to_owned();
        Self::of([("health", Dependency::Down { reason, is_needed: true })])
    }

    pub(super) fn is_ready(&self) -> bool {
        self.dependencies.values().all(Dependency::is_acceptable)
    }
}

impl Dependency {
    /// Up, or optional.
    fn is_acceptable(&self) -> bool {
        !matches!(self, Self::Down { is_needed: true, .. })
    }

    /// The worse of two results under one name. Parts of one process may check the same dependency
    /// differently.
    fn or_worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Up, other) => other,
            (found, Self::Up) => found,
            (Self::Down { reason, is_needed }, Self::Down { reason: other, is_needed: is_other_needed }) => {
                let reason = if reason == other { reason } else { format!("{other}; {reason}") };
                Self::Down { reason, is_needed: is_needed || is_other_needed }
            }
        }
    }
}
