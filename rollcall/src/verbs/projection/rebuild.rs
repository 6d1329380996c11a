//! `rollcall projection rebuild`

use super::super::{
    bar::{Now, bar},
    print,
};
use crate::settings;
use indicatif::ProgressBar;
use projector::{Phase, RebuildProgress, RebuildReport};
use serde_json::json;
use std::io::{Write as _, stderr};

/// Folds the whole log into a new generation and makes it the live one; reads go on throughout
#[derive(clap::Args)]
pub(crate) struct Args {
    /// JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the end
    #[arg(long)]
    json: bool,
}

const BAR: &str = "{wide_bar} {human_pos}/{human_len} records  {msg}  {per_sec}  {eta} left";

pub(crate) async fn rebuild(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let mut screen = Screen { is_json: args.json, bar: bar(Some(0), BAR), now: Now::default(), phase: None };
    let report = projector::rebuild(&settings, |progress| screen.show(progress)).await;
    screen.bar.finish_and_clear();
    tell(args, &report?)
}

/// What is seen while it goes on.
struct Screen {
    is_json: bool,
    bar: ProgressBar,
    now: Now,
    phase: Option<Phase>,
}

impl Screen {
    fn show(&mut self, progress: RebuildProgress) {
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.records);
        self.bar.set_message(in_words(progress.phase));
        let is_new = self.phase.replace(progress.phase) != Some(progress.phase);
        // Asked in any case, so that a step counts as the line of its second.
        let is_due = self.now.is_due();
        if self.is_json && (is_new || is_due) {
            // If nobody reads, the summary will find out.
            let _ = print(json!({"progress": progress}));
        }
    }
}

fn in_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Folding => "folding",
        Phase::Indexing => "building indexes",
        Phase::Promoting => "switching over",
    }
}

fn tell(args: &Args, report: &RebuildReport) -> anyhow::Result<()> {
    if args.json {
        return print(json!({"summary": report}));
    }
    let RebuildReport { generation, retired, records, seconds, keyless } = report;
    if *keyless > 0 {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(
            stderr(),
            "rollcall: {keyless} users can't be read, since their keys are missing: `rollcall dead-letters list` names them"
        );
    }
    print(format_args!(
        "generation {generation} is live: {records} records in {seconds:.1} s; generation {retired} is retired"
    ))
}
