//! A progress bar on stderr.

use indicatif::{HumanFloatCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    fmt::Write,
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

/// The pause between two lines of progress in JSON, and before the first rate of a bar.
const EVERY: Duration = Duration::from_secs(1);

/// A bar with `total` units, or a counter if the total is unknown. It is drawn only on a terminal.
pub(crate) fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let is_shown = stderr().is_terminal();
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    ProgressBar::with_draw_target(total, target).with_style(style(template))
}

/// The style of a template of ours.
pub(super) fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("per_sec", per_sec)
}

/// Replaces indicatif's own rate, which always has four decimals, and in the first moment has nothing
/// to go by.
fn per_sec(state: &ProgressState, out: &mut dyn Write) {
    let rate = if state.elapsed() < EVERY { String::new() } else { rate(state.per_sec()) };
    // Writing to a string can't fail.
    let _ = out.write_str(&rate);
}

fn rate(per_sec: f64) -> String {
    let decimals = if per_sec < 10.0 { 1 } else { 0 };
    format!("{:.decimals$}/s", HumanFloatCount(per_sec))
}

/// Limits output to once a second.
#[derive(Default)]
pub(crate) struct Throttle(Option<Instant>);

impl Throttle {
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|last| last.elapsed() >= EVERY);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn a_large_rate_has_no_decimals() {
        let rates = [0.0, 2.5, 42.4, 4_300.7].map(rate);
        assert_eq!(rates, ["0/s", "2.5/s", "42/s", "4,301/s"]);
    }
}
