//! Shows the progress of a verb on generations.

use super::super::{
    bar::{Throttle, bar},
    print,
};
use indicatif::ProgressBar;
use projector::{Phase, Progress};
use serde_json::json;

const BAR: &str = "{wide_bar} {human_pos}/{human_len}  {msg}  {per_sec}  {eta} left";

/// A bar on a terminal; with `--json`, a line once a second and at each step.
pub(super) struct Screen {
    is_json: bool,
    bar: ProgressBar,
    throttle: Throttle,
    phase: Option<Phase>,
}

impl Screen {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json, bar: bar(Some(0), BAR), throttle: Throttle::default(), phase: None }
    }

    pub(super) fn show(&mut self, progress: Progress) {
        let is_new = self.phase.replace(progress.phase) != Some(progress.phase);
        if is_new {
            self.bar.set_message(in_words(progress.phase));
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

fn in_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Folding => "records: folding",
        Phase::Indexing => "records: building indexes",
        Phase::Verifying => "blocks: comparing",
        Phase::Promoting => "promoting",
    }
}
