//! Shows the progress of a proof, an audit or an export.

use super::{
    bar::{Throttle, bar},
    print,
};
use indicatif::ProgressBar;
use privacy::{ScanProgress, Step};
use serde_json::json;

const BAR: &str = "{wide_bar} {human_pos}/{human_len}  {msg}  {per_sec}  {eta} left";

/// A bar for each step on a terminal; with `--json`, a line once a second and at each step.
pub(super) struct Screen {
    is_json: bool,
    bar: ProgressBar,
    throttle: Throttle,
    step: Option<Step>,
}

impl Screen {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json, bar: bar(Some(0), BAR), throttle: Throttle::default(), step: None }
    }

    pub(super) fn show(&mut self, progress: ScanProgress) {
        let is_new = self.step.replace(progress.step) != Some(progress.step);
        if is_new {
            self.bar.set_message(in_words(progress.step));
            self.bar.reset();
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        // Always asked, so that the line of a new step counts too.
        let is_due = self.throttle.is_due();
        if self.is_json && (is_new || is_due) {
            // If stdout is closed, printing the summary reports it.
            let _ = print(json!({"progress": progress}));
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn in_words(step: Step) -> &'static str {
    match step {
        Step::Log => "records of the log",
        Step::Keys => "keys",
        Step::ReadModel => "generations",
        Step::Cache => "keys of Redis",
        Step::Analytics => "analytic events",
    }
}
