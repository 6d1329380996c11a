//! A progress bar on stderr, for a person who waits.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

/// Between two lines for a program.
const EVERY: Duration = Duration::from_secs(1);

/// A bar over so many `total` units, or a count where the end is not known; drawn only on a terminal.
pub(crate) fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let is_shown = stderr().is_terminal();
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(total, target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Lets something through once a second.
#[derive(Default)]
pub(crate) struct Now(Option<Instant>);

impl Now {
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|last| last.elapsed() >= EVERY);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}
