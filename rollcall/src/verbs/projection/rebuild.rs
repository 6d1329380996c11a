//! `rollcall projection rebuild`

use super::super::{
    bar::{Now, bar},
    print,
};
use crate::settings;
use indicatif::ProgressBar;
use projector::{Phase, RebuildOptions, RebuildProgress, RebuildReport, SetAside};
use serde_json::json;
use std::io::{Write as _, stderr};

/// Folds the whole log into a new generation and makes it the live one; reads go on throughout
///
/// Says how many records could not be folded, and why. Where that are more than in the live generation, the new one is not made the live one:
/// exit 1, and nothing has changed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Makes the new generation the live one even where more could not be folded than before
    #[arg(long)]
    accept_set_aside: bool,
    /// Builds from what is left of a log that does not begin at offset 0
    #[arg(long)]
    from_cut: bool,
    /// JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the end
    #[arg(long)]
    json: bool,
}

const BAR: &str = "{wide_bar} {human_pos}/{human_len} records  {msg}  {per_sec}  {eta} left";

pub(crate) async fn rebuild(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let mut screen = Screen { is_json: args.json, bar: bar(Some(0), BAR), now: Now::default(), phase: None };
    let options = RebuildOptions { accept_set_aside: args.accept_set_aside, from_cut: args.from_cut };
    let report = projector::rebuild(&settings, options, |progress| screen.show(progress)).await;
    screen.bar.finish_and_clear();
    let report = report?;
    tell(args, &report)?;
    if report.promoted { Ok(()) } else { Err(refused(&report)) }
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
    if report.keyless > 0 {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(
            stderr(),
            "rollcall: {} users can't be read, since their keys are missing: `rollcall dead-letters list` names them",
            report.keyless
        );
    }
    if !report.cuts.is_empty() {
        print(event_log::cuts_in_words(&report.cuts))?;
    }
    if report.set_aside.records > 0 {
        print(format_args!("set aside: {}", in_numbers(&report.set_aside)))?;
        let mut lines = report.set_aside.reasons.iter();
        lines.try_for_each(|reason| print(format_args!("  {:>8}  {}", reason.records, reason.reason)))?;
    }
    let RebuildReport { generation, retired: Some(retired), records, seconds, .. } = report else {
        return Ok(());
    };
    print(format_args!(
        "generation {generation} is live: {records} records in {seconds:.1} s; generation {retired} is retired"
    ))
}

fn in_numbers(set_aside: &SetAside) -> String {
    format!("{} records, {} users parked", set_aside.records, set_aside.users)
}

fn refused(report: &RebuildReport) -> anyhow::Error {
    let how = if report.gave_up { "given up, and " } else { "" };
    anyhow::anyhow!(
        "generation {} was {how}not made the live one: {} could not be folded, and {} in the live generation, which goes on unchanged. Put \
         right what the reasons say. If it is to go live as it is, run `rollcall projection rebuild --accept-set-aside`: what it set aside \
         waits as dead letters",
        report.generation,
        in_numbers(&report.set_aside),
        in_numbers(&report.set_aside_before),
    )
}
