//! What a person at the terminal is told during the start, on stderr.

use std::{
    io::{Write, stderr},
    time::Instant,
};

/// Says a line.
pub(crate) fn say(line: impl std::fmt::Display) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(stderr(), "{line}");
}

/// Does a step and says how long it took.
pub(crate) async fn step<T>(what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let begin = Instant::now();
    let outcome = work.await;
    let end = if outcome.is_ok() { "" } else { ", failed" };
    say(format_args!("{what} … {:.1} s{end}", begin.elapsed().as_secs_f64()));
    outcome
}
