//! `rollcall projection accept-cut`

use super::super::print;
use crate::settings;
use projector::AcceptedCut;
use serde_json::json;

/// Shows what was cut off the beginning of the log, and what of it is lost without having been folded; changes nothing without --yes
///
/// With --yes the live generation goes on behind what is lost: events that are lost have no effect, also deletions. An event that builds on a lost
/// one is set aside. Restore the log instead where that is possible. What is accepted is written down, and no start warns of it any more; `erasure
/// prove`, `erasure audit` and `projection rebuild` go on saying that the log does not begin at 0.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Accepts it
    #[arg(long, requires = "lose")]
    yes: bool,
    /// How many offsets are lost, as shown without --yes
    #[arg(long, value_name = "N", requires = "yes")]
    lose: Option<i64>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn accept_cut(args: &Args) -> anyhow::Result<()> {
    let accepted = projector::accept_cut(&settings::completed()?, args.lose.filter(|_| args.yes)).await?;
    if args.json {
        print(json!(accepted))?;
    } else {
        print(text(&accepted))?;
    }
    let is_open = !accepted.accepted && accepted.cuts.iter().any(|cut| !cut.accepted);
    anyhow::ensure!(
        !is_open,
        "nothing was changed. Restore the log if you can. To accept the cut: rollcall projection accept-cut --yes --lose {}",
        accepted.lost_offsets
    );
    Ok(())
}

fn text(accepted: &AcceptedCut) -> String {
    if accepted.cuts.is_empty() {
        return "the log begins at 0: nothing was cut off".to_owned();
    }
    let mut lines = vec!["cut off".to_owned()];
    lines.extend(accepted.cuts.iter().map(|cut| {
        let known = if cut.accepted { " (accepted)" } else { "" };
        format!("  {cut}{known}")
    }));
    lines.push(match accepted.lost_offsets {
        0 => "everything that was cut off is folded: the read model has it, a rebuild would not".to_owned(),
        lost => format!("lost without having been folded: {lost} offsets"),
    });
    lines.extend(accepted.lost.iter().map(|range| format!("  {range}")));
    lines.join("\n")
}
