//! `rollcall projection rebuild`

use super::super::{
    bar::{Throttle, bar},
    print,
};
use crate::settings;
use indicatif::ProgressBar;
use projector::{Phase, RebuildOptions, RebuildProgress, RebuildReport, SetAside};
use serde_json::json;
use std::io::{Write as _, stderr};

/// Fold the whole log into a new generation and promote it
///
/// Reads go on throughout. Reports how many records could not be folded, and why. If these are more than
/// in the live generation, the new one is not promoted: nothing changes, and the exit code is 1.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Promote the new generation even if more records could not be folded than before
    #[arg(long)]
    accept_set_aside: bool,
    /// Rebuild from a log that does not begin at offset 0, without its lost beginning
    #[arg(long)]
    from_cut: bool,
    /// Print JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the
    /// end
    #[arg(long)]
    json: bool,
}

const BAR: &str = "{wide_bar} {human_pos}/{human_len} records  {msg}  {per_sec}  {eta} left";

pub(crate) async fn rebuild(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let mut screen =
        Screen { is_json: args.json, bar: bar(Some(0), BAR), throttle: Throttle::default(), phase: None };
    let options = RebuildOptions { accept_set_aside: args.accept_set_aside, from_cut: args.from_cut };
    let report = projector::rebuild(&settings, options, |progress| screen.show(progress)).await;
    screen.bar.finish_and_clear();
    let report = report?;
    report_rebuild(args, &report)?;
    if report.promoted { Ok(()) } else { Err(not_promoted(&report)) }
}

/// Shows the progress.
struct Screen {
    is_json: bool,
    bar: ProgressBar,
    throttle: Throttle,
    phase: Option<Phase>,
}

impl Screen {
    fn show(&mut self, progress: RebuildProgress) {
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.records);
        self.bar.set_message(in_words(progress.phase));
        let is_new = self.phase.replace(progress.phase) != Some(progress.phase);
        // Always asked, so that the line of a new step counts too.
        let is_due = self.throttle.is_due();
        if self.is_json && (is_new || is_due) {
            // If stdout is closed, printing the summary reports it.
            let _ = print(json!({"progress": progress}));
        }
    }
}

fn in_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Folding => "folding",
        Phase::Indexing => "building indexes",
        Phase::Promoting => "promoting",
    }
}

fn report_rebuild(args: &Args, report: &RebuildReport) -> anyhow::Result<()> {
    if args.json {
        return print(json!({"summary": report}));
    }
    if report.keyless > 0 {
        // If stderr is closed, nobody reads the warning.
        let _ = writeln!(
            stderr(),
            "rollcall: {} users can't be read because their keys are missing: `rollcall dead-letters list` lists them",
            report.keyless
        );
    }
    if !report.cuts.is_empty() {
        print(event_log::describe_cuts(&report.cuts))?;
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

fn not_promoted(report: &RebuildReport) -> anyhow::Error {
    let how = if report.gave_up { "given up and " } else { "" };
    anyhow::anyhow!(
        "generation {} was {how}not promoted: {} could not be folded, and {} in the live generation, which stays as it is. Fix what \
         the reasons say. To promote it as it is, run `rollcall projection rebuild --accept-set-aside`: what it set aside then waits as \
         dead letters",
        report.generation,
        in_numbers(&report.set_aside),
        in_numbers(&report.set_aside_before),
    )
}
