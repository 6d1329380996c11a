//! `rollcall projection accept-cut`

use super::super::{print, words::number};
use crate::{interrupted::NOTHING, settings};
use projector::AcceptedCut;
use serde_json::json;

/// Show which part of the log's beginning is lost, or accept the loss with --yes
///
/// Without --yes nothing is changed. With --yes the live generation continues behind the lost records.
/// Lost events have no effect, not even deletions, and an event that depends on a lost one becomes a dead
/// letter. If you can, restore the log instead. An accepted cut is recorded, and services no longer warn
/// of it at the start; `erasure prove`, `erasure audit` and `projection rebuild` still report it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Accept the cut
    #[arg(long, requires = "lose")]
    yes: bool,
    /// The number of lost offsets, as shown without --yes
    #[arg(long, value_name = "N", requires = "yes")]
    lose: Option<i64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) fn left(&self) -> String {
        let left = if self.yes {
            "the cut is accepted as a whole or not at all. `rollcall projection accept-cut` shows it"
        } else {
            NOTHING
        };
        left.to_owned()
    }
}

pub(crate) async fn accept_cut(args: &Args) -> anyhow::Result<()> {
    let accepted = projector::accept_cut(&settings::load()?, args.lose.filter(|_| args.yes)).await?;
    if args.json {
        print(json!(accepted))?;
    } else {
        print(text(&accepted))?;
    }
    let is_open = !accepted.accepted && accepted.cuts.iter().any(|cut| !cut.accepted);
    anyhow::ensure!(
        !is_open,
        "nothing was changed. Restore the log if you can. To accept the cut, run `rollcall projection accept-cut --yes --lose {}`",
        accepted.lost_offsets
    );
    Ok(())
}

fn text(accepted: &AcceptedCut) -> String {
    if accepted.cuts.is_empty() {
        return "the log begins at offset 0: it was not cut".to_owned();
    }
    let mut lines = vec!["cuts".to_owned()];
    lines.extend(accepted.cuts.iter().map(|cut| {
        let known = if cut.accepted { " (accepted)" } else { "" };
        format!("  {cut}{known}")
    }));
    lines.push(match accepted.lost_offsets {
        0 => "everything that was cut off is folded: the read model has it, but a rebuild would lose it"
            .to_owned(),
        lost => format!("lost before they were folded: {}", number(lost, "offset")),
    });
    lines.extend(accepted.lost.iter().map(|range| format!("  {range}")));
    lines.join("\n")
}
