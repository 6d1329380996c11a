//! The checks after a run. Each is a pure function of the evidence.

mod analytics;
mod answers;
pub mod evidence;
mod lost;
mod order;
mod refused;
mod repeated;
#[cfg(test)]
mod sample;
mod settle;
mod stale;
mod state;
mod twice;
pub mod verdict;

pub use evidence::Evidence;
pub use verdict::{Findings, Verdict};

/// A check.
type Check = fn(&Evidence) -> Findings;

/// All checks, by name.
const CHECKS: [(&str, Check); 9] = [
    ("acked writes lost", lost::check),
    ("applied twice", twice::check),
    ("ce_id repeated", repeated::check),
    ("refused but applied", refused::check),
    ("order broken", order::check),
    ("stale reads", stale::check),
    ("final state differs", state::check),
    ("analytics wrong", analytics::check),
    ("answers out of contract", answers::check),
];
