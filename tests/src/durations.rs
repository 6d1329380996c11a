//! Which tests took longest, printed after a run.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// How many are printed.
const SLOWEST: usize = 15;

static TAKEN: Mutex<Vec<(Duration, &'static str)>> = Mutex::new(Vec::new());

/// Runs a test and remembers how long it took, if it passes.
///
/// # Panics
/// The test panics.
pub fn timed(name: &'static str, test: impl FnOnce()) {
    let start = Instant::now();
    test();
    TAKEN.lock().expect("no holder panics").push((start.elapsed(), name));
}

/// The slowest tests, a line for each. It is empty if there were no more than these.
///
/// # Panics
/// The lock is poisoned.
pub fn slowest() -> String {
    let mut taken = TAKEN.lock().expect("no holder panics");
    taken.sort_unstable();
    let line = |(took, name): &(Duration, &str)| format!("{:7.1} s  {name}\n", took.as_secs_f64());
    let slowest: String = taken.iter().rev().take(SLOWEST).map(line).collect();
    if taken.len() > SLOWEST { slowest } else { String::new() }
}
