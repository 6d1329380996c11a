//! `rollcall projection rebuild`

use super::{
    super::{print, screen::Screen, words::number},
    further::Name,
    promote::{dropped, in_numbers, more_set_aside, print_log_change, print_set_aside},
    verify::print_comparison,
};
use crate::{local::progress::say, settings};
use projector::{RebuildOptions, RebuildReport};
use serde_json::json;

/// Fold the whole log into a new generation, which then follows the live one
///
/// Reads and writes go on throughout. With --promote, the new generation is compared with the live one and
/// made live if they are equal. Otherwise it waits for `rollcall projection verify` and `promote`, or for
/// `drop`. The exit code is 1 if it could not be built, or not be promoted.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    name: Name,
    /// Verify the new generation, then make it the live one
    #[arg(long)]
    promote: bool,
    /// With --promote: make it live without a comparison. Needed if it shall differ, because the live one is wrong
    #[arg(long, requires = "promote")]
    unverified: bool,
    /// Go on if more records can't be folded than in the live generation. With --promote, implies --unverified
    #[arg(long, conflicts_with = "projection")]
    accept_set_aside: bool,
    /// Continue the last rebuild, which was interrupted
    #[arg(long)]
    resume: bool,
    /// Rebuild from a log that does not begin at offset 0, without its lost beginning
    #[arg(long)]
    from_cut: bool,
    /// Print JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the
    /// end
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) fn left(&self) -> String {
        let of = self.name.option();
        let promote = if self.promote { " --promote" } else { "" };
        format!(
            "the new generation keeps what it has folded. `rollcall projection rebuild{of} --resume{promote}` goes on with it, and \
             `rollcall projection list{of}` shows its state"
        )
    }
}

pub(crate) async fn rebuild(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let mut screen = Screen::new(args.json);
    let options = RebuildOptions {
        promote: args.promote,
        unverified: args.unverified,
        accept_set_aside: args.accept_set_aside,
        from_cut: args.from_cut,
        resume: args.resume,
    };
    let progress = |progress| screen.show(progress);
    let report = match &args.name.projection {
        None => projector::rebuild(&settings, options, progress).await,
        Some(name) => projector::projections::rebuild(&settings, name, options, progress).await,
    };
    screen.end();
    let report = report?;
    report_rebuild(args, &report)?;
    if report.built && (report.promoted || !args.promote) { Ok(()) } else { Err(failure(args, &report)) }
}

fn report_rebuild(args: &Args, report: &RebuildReport) -> anyhow::Result<()> {
    if args.json {
        return print(json!({"summary": report}));
    }
    if report.keyless > 0 {
        say(format_args!(
            "rollcall: {} can't be read, because the key is missing: `rollcall dead-letters list` shows them once the generation is live",
            number(report.keyless, "user")
        ));
    }
    if !report.cuts.is_empty() {
        print(event_log::describe_cuts(&report.cuts))?;
    }
    print_set_aside(&report.set_aside)?;
    if let Some(verified) = &report.verified {
        print_comparison(verified, &args.name.option())?;
    }
    print_log_change(report.another_log)?;
    others(report, &args.name.option()).into_iter().try_for_each(print)?;
    if report.built { print(result(args, report)) } else { Ok(()) }
}

/// The other generations that were built and never promoted.
fn others(report: &RebuildReport, of: &str) -> Vec<String> {
    let follow = report.also_built.iter().map(|other| {
        format!(
            "generation {other} is built too and follows, which makes each write cost more. To give it up: `rollcall projection drop {other}{of}`"
        )
    });
    let outdated = report.outdated.iter().map(|other| {
        format!(
            "generation {other} is built too, but does not follow, because another fold or log has made it: `rollcall projection drop \
             {other}{of}`"
        )
    });
    follow.chain(outdated).collect()
}

/// What became of a generation that is built.
fn result(args: &Args, report: &RebuildReport) -> String {
    let RebuildReport { generation, seconds, promoted, .. } = report;
    let since = if args.resume { " since it was resumed" } else { "" };
    let records = number(report.records, "record") + since;
    let is = if *promoted { "live" } else { "built" };
    let then = match report.retired {
        Some(retired) => format!("; generation {retired} is retired{}", dropped(&report.dropped)),
        None if *promoted => String::new(),
        None if args.promote => "; it follows the live one".to_owned(),
        None => next(generation, report.comparable, &args.name.option()),
    };
    format!("generation {generation} is {is}: {records} in {seconds:.1} s{then}")
}

/// The next step with a generation that waits to be promoted.
fn next(generation: &i32, is_comparable: bool, of: &str) -> String {
    let promote = format!("`rollcall projection promote {generation}{of}");
    if is_comparable {
        format!(
            "; it follows the live one. Next: `rollcall projection verify {generation}{of}`, then {promote}`"
        )
    } else {
        format!(
            "; it can't be compared with the live one, which another fold or log has made. Next: {promote} --unverified`"
        )
    }
}

fn failure(args: &Args, report: &RebuildReport) -> anyhow::Error {
    let generation = report.generation;
    if report.gave_up {
        return anyhow::anyhow!(
            "the rebuild of generation {generation} has given up: {} could not be folded, and {} in the live generation, which stays as \
             it is. Fix what the reasons say. To go on all the same, run `rollcall projection rebuild --accept-set-aside`: what is set \
             aside then waits as dead letters",
            in_numbers(&report.set_aside),
            in_numbers(&report.set_aside_before),
        );
    }
    let is_different = report.verified.as_ref().is_some_and(|verified| !verified.is_equal);
    let of = args.name.option();
    if is_different && !report.set_aside.is_more_than(&report.set_aside_before) {
        return anyhow::anyhow!(
            "generation {generation} was not promoted: it differs from the live one, which stays as it is. It follows the live one. If it \
             is right and the live one is wrong, run `rollcall projection promote {generation}{of} --unverified`; to give it up, \
             `rollcall projection drop {generation}{of}`"
        );
    }
    more_set_aside(generation, &report.set_aside, &report.set_aside_before)
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn what_can_not_be_compared_is_promoted_unverified() {
        let said = next(&2, false, " --projection statistics");
        assert!(
            said.contains("`rollcall projection promote 2 --projection statistics --unverified`"),
            "{said}"
        );
        assert!(!said.contains("verify 2") && !said.contains("follows"), "{said}");
        assert!(
            next(&2, true, "")
                .ends_with("`rollcall projection verify 2`, then `rollcall projection promote 2`")
        );
    }
}
