//! `rollcall projection promote` and `rollback`

use super::{
    super::{print, screen::Screen, words::number},
    further::Name,
};
use crate::settings;
use projector::{LogChange, PromoteOptions, PromoteReport, SetAside, Which};
use serde_json::json;

/// Make a built generation the live one
///
/// It is brought level with the live one first. Reads and writes go on. A generation that was never found
/// equal to the live one is refused, and so is one in which more records could not be folded.
#[derive(clap::Args)]
pub(crate) struct PromoteArgs {
    /// The generation. Without it: the newest that is built and was never live
    #[arg(value_name = "N")]
    generation: Option<i32>,
    /// Promote it although it was never found equal to the live one
    #[arg(long)]
    unverified: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Make the generation live again that was live before
///
/// It has followed the live one since, so nothing is lost. The two may differ: that is why one goes
/// back. `rollcall projection verify N` shows in what.
#[derive(clap::Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(super) common: Common,
}

/// The arguments of both.
#[derive(clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    name: Name,
    /// Promote it even if more records could not be folded than in the live one. Implies --unverified
    #[arg(long, conflicts_with = "projection")]
    accept_set_aside: bool,
    /// Print JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the
    /// end
    #[arg(long)]
    json: bool,
}

impl Common {
    /// What it leaves if it is interrupted.
    pub(super) fn left(&self) -> String {
        let of = self.name.option();
        format!(
            "a promotion takes effect as a whole or not at all. `rollcall projection list{of}` shows which generation is live"
        )
    }
}

pub(crate) async fn promote(args: &PromoteArgs) -> anyhow::Result<()> {
    switch(Which::Built(args.generation), args.unverified, &args.common).await
}

pub(crate) async fn rollback(args: &RollbackArgs) -> anyhow::Result<()> {
    switch(Which::Former, true, &args.common).await
}

async fn switch(which: Which, unverified: bool, args: &Common) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let mut screen = Screen::new(args.json);
    let options = PromoteOptions { which, unverified, accept_set_aside: args.accept_set_aside };
    let progress = |progress| screen.show(progress);
    let report = match &args.name.projection {
        None => projector::promote(&settings, options, progress).await,
        Some(name) => projector::projections::promote(&settings, name, options, progress).await,
    };
    screen.end();
    let report = report?;
    report_promotion(args, &report)?;
    if report.promoted {
        return Ok(());
    }
    Err(more_set_aside(report.generation, &report.set_aside, &report.set_aside_before))
}

fn report_promotion(args: &Common, report: &PromoteReport) -> anyhow::Result<()> {
    if args.json {
        return print(json!({"summary": report}));
    }
    print_log_change(report.another_log)?;
    match report.retired {
        Some(retired) => print(promotion(report, retired)),
        None if report.promoted => print(format_args!("generation {} is live already", report.generation)),
        None => print_set_aside(&report.set_aside),
    }
}

fn promotion(report: &PromoteReport, retired: i32) -> String {
    let PromoteReport { generation, seconds, .. } = report;
    let follows = if report.retired_follows {
        " and follows"
    } else {
        ", and does not follow, because another fold or log has made it"
    };
    let dropped = dropped(&report.dropped);
    format!(
        "generation {generation} is live, after {seconds:.1} s; generation {retired} is retired{follows}{dropped}"
    )
}

/// Says which generations a promotion dropped, if any.
pub(super) fn dropped(dropped: &[i32]) -> String {
    let each = dropped
        .iter()
        .map(|generation| format!("; generation {generation}, which was retired before, is dropped"));
    each.collect()
}

/// Says that the users are those of another log now.
pub(super) fn print_log_change(change: Option<LogChange>) -> anyhow::Result<()> {
    let Some(LogChange { users, users_before }) = change else { return Ok(()) };
    print(format_args!(
        "the live generation is folded from another log now: users: {users}, before: {users_before}. The former generation stays until \
         you drop it"
    ))
}

/// Prints what a generation could not fold, by reason.
pub(super) fn print_set_aside(set_aside: &SetAside) -> anyhow::Result<()> {
    if set_aside.records == 0 {
        return Ok(());
    }
    print(format_args!("set aside: {}", in_numbers(set_aside)))?;
    let mut lines = set_aside.reasons.iter();
    lines.try_for_each(|reason| print(format_args!("  {:>8}  {}", reason.records, reason.reason)))
}

pub(super) fn in_numbers(set_aside: &SetAside) -> String {
    format!("{}, {} parked", number(set_aside.records, "record"), number(set_aside.users, "user"))
}

pub(super) fn more_set_aside(generation: i32, set_aside: &SetAside, before: &SetAside) -> anyhow::Error {
    anyhow::anyhow!(
        "generation {generation} was not promoted: {} could not be folded, and {} in the live generation, which stays as it is. Fix what \
         the reasons say. To promote it as it is, run `rollcall projection promote {generation} --accept-set-aside`: what it set aside \
         then waits as dead letters",
        in_numbers(set_aside),
        in_numbers(before),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(retired_follows: bool, dropped: &[i32]) -> PromoteReport {
        PromoteReport {
            generation: 3,
            promoted: true,
            retired: Some(2),
            retired_follows,
            dropped: dropped.to_vec(),
            set_aside: SetAside::default(),
            set_aside_before: SetAside::default(),
            another_log: None,
            seconds: 1.25,
        }
    }

    #[test]
    fn a_promotion_says_what_it_dropped() {
        let said = promotion(&report(true, &[1]), 2);
        assert_eq!(
            said,
            "generation 3 is live, after 1.2 s; generation 2 is retired and follows; generation 1, which was retired before, is dropped"
        );
        assert!(promotion(&report(true, &[]), 2).ends_with("is retired and follows"));
    }

    #[test]
    fn a_generation_of_another_fold_is_not_said_to_follow() {
        let said = promotion(&report(false, &[]), 2);
        assert!(said.contains("is retired, and does not follow, because another fold or log"), "{said}");
    }
}
