//! Shows the progress of a long verb.

use super::{
    bar::{Throttle, bar, style},
    print,
};
use indicatif::ProgressBar;
use privacy::{ScanProgress, Step};
use projector::{CopyPhase, CopyProgress, Phase, Progress, RepairProgress};
use serde::Serialize;
use serde_json::json;
use std::{borrow::Cow, time::Duration};

const BAR: &str = "{wide_bar} {human_pos}/{human_len}  {msg}  {per_sec}  {left}";
/// For a step that nobody can measure.
const UNMEASURED: &str = "{msg}, for {elapsed} so far";
/// How often the time of such a step is drawn.
const TICK: Duration = Duration::from_millis(500);

/// A bar for each step on a terminal; with `--json`, a line once a second and at each step.
pub(super) struct Screen {
    is_json: bool,
    bar: ProgressBar,
    throttle: Throttle,
    step: Option<Cow<'static, str>>,
}

/// What a verb reports of its progress. Printed as it is with `--json`.
pub(super) trait Shown: Serialize {
    /// The step in words, with its unit.
    fn step(&self) -> Cow<'static, str>;

    /// How much of how much is done.
    fn done_of_total(&self) -> (u64, u64);

    /// Whether the step is done bit by bit.
    fn is_measured(&self) -> bool {
        true
    }
}

impl Screen {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json, bar: ProgressBar::hidden(), throttle: Throttle::default(), step: None }
    }

    pub(super) fn show(&mut self, progress: impl Shown) {
        let (step, (done, total)) = (progress.step(), progress.done_of_total());
        let is_new = self.step.as_ref() != Some(&step);
        if is_new {
            self.show_step(step.clone(), done, total, progress.is_measured());
            self.step = Some(step);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        // Always asked, so that the line of a new step counts too.
        let is_due = self.throttle.is_due();
        if self.is_json && (is_new || is_due) {
            // If stdout is closed, printing the summary reports it.
            let _ = print(json!({"progress": progress}));
        }
    }

    /// A bar of its own for each step, so that none is drawn with the figures of another.
    fn show_step(&mut self, step: Cow<'static, str>, done: u64, total: u64, is_measured: bool) {
        self.bar.finish_and_clear();
        let template = if is_measured { BAR } else { UNMEASURED };
        self.bar = bar(Some(total), template).with_position(done).with_message(step);
        self.bar.set_style(style(template, done));
        if !is_measured {
            // Nothing else draws the time.
            self.bar.enable_steady_tick(TICK);
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Shown for ScanProgress {
    fn step(&self) -> Cow<'static, str> {
        match self.step {
            Step::Log => "records of the log",
            Step::Keys => "keys",
            Step::ReadModel => "generations",
            Step::Cache => "keys of Redis",
            Step::Analytics => "analytic events",
        }
        .into()
    }

    fn done_of_total(&self) -> (u64, u64) {
        (self.done, self.total)
    }
}

impl Shown for Progress {
    fn step(&self) -> Cow<'static, str> {
        match self.phase {
            Phase::Folding => "records: folding",
            Phase::Indexing => "building indexes",
            Phase::Verifying => "blocks: comparing",
            Phase::Promoting => "promoting",
        }
        .into()
    }

    fn done_of_total(&self) -> (u64, u64) {
        (self.done, self.total)
    }

    fn is_measured(&self) -> bool {
        matches!(self.phase, Phase::Folding | Phase::Verifying)
    }
}

impl Shown for RepairProgress {
    fn step(&self) -> Cow<'static, str> {
        "offsets of the user's partition".into()
    }

    fn done_of_total(&self) -> (u64, u64) {
        (self.done, self.total)
    }
}

impl Shown for CopyProgress {
    fn step(&self) -> Cow<'static, str> {
        let doing = match self.phase {
            CopyPhase::Surveying => "surveying",
            CopyPhase::Copying => "copying",
            CopyPhase::Verifying => "comparing",
        };
        format!("records: {doing} {}", self.topic).into()
    }

    fn done_of_total(&self) -> (u64, u64) {
        (self.records, self.total)
    }
}
