//! Messages on stderr.

use crate::printable::Printable;
use std::{
    io::{Write, stderr},
    time::Instant,
};

/// Prints a line.
pub(crate) fn say(line: impl std::fmt::Display) {
    // If stderr is closed, nobody reads the line.
    let _ = writeln!(stderr(), "{}", Printable(line));
}

/// Runs a step, and prints how long it took.
pub(crate) async fn step<T>(what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let begin = Instant::now();
    let outcome = work.await;
    let end = if outcome.is_ok() { "" } else { ", failed" };
    say(format_args!("{what} … {:.1} s{end}", begin.elapsed().as_secs_f64()));
    outcome
}
