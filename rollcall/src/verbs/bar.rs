//! A progress bar on stderr.

use indicatif::{
    HumanDuration, HumanFloatCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
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
    ProgressBar::with_draw_target(total, target).with_style(style(template, 0))
}

/// The style of a template of ours. `from` is how much was done before.
pub(super) fn style(template: &str, from: u64) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // Writing to a string can't fail.
    let style = style.with_key("per_sec", move |state: &ProgressState, out: &mut dyn Write| {
        let _ = out.write_str(&pace(state, from).map(rate).unwrap_or_default());
    });
    style.with_key("left", move |state: &ProgressState, out: &mut dyn Write| {
        let _ = out.write_str(&pace(state, from).and_then(|pace| left(state, pace)).unwrap_or_default());
    })
}

/// Units per second since the bar was made. In the first moment there is nothing to go by, and
/// indicatif's own estimate would count what was done before.
fn pace(state: &ProgressState, from: u64) -> Option<f64> {
    let done = state.pos().saturating_sub(from);
    (state.elapsed() >= EVERY).then(|| done as f64 / state.elapsed().as_secs_f64())
}

fn left(state: &ProgressState, pace: f64) -> Option<String> {
    let units = state.len()?.saturating_sub(state.pos());
    let seconds = (pace > 0.0).then(|| units as f64 / pace)?;
    Some(format!("{:#} left", HumanDuration(Duration::from_secs_f64(seconds.min(1e9)))))
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
