//! `rollcall erasure audit`

use super::{
    super::{print, screen::Screen, table::Table},
    count, whole,
};
use crate::settings;
use privacy::erasure::{Audit, Count};
use serde_json::json;

/// Looks for what is left of all deleted users, and for living ones whose key is missing: exit 0 if there is nothing
///
/// One reading of the log; events are told by the ids of their keys, and nothing is tried to be opened: `erasure prove` does that for one
/// user. Prints nothing personal.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Lets a log count as whole that does not begin at offset 0: what lay before can't be looked at
    #[arg(long)]
    from_cut: bool,
    /// JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the end
    #[arg(long)]
    json: bool,
}

pub(crate) async fn audit(args: &Args) -> anyhow::Result<()> {
    let mut screen = Screen::new(args.json);
    let settings = settings::completed()?;
    let audit = privacy::erasure::audit(&settings, |progress| screen.show(progress)).await;
    screen.end();
    let audit = audit?;
    if args.json {
        print(json!({"summary": audit}))?
    } else {
        print(text(&audit))?
    }
    whole(&audit.log, args.from_cut)?;
    anyhow::ensure!(audit.is_clean(), "not everything is as it should be: {}", counts(&audit.counts));
    Ok(())
}

fn text(audit: &Audit) -> String {
    let mut lines = Vec::new();
    if !audit.is_clean() {
        let mut table = Table::new(["tenant", "user", "found", "where"]);
        for found in &audit.findings {
            let words = found.kind.to_string();
            table.row([found.tenant_id.to_string(), found.user_id.to_string(), words, found.place.clone()]);
        }
        lines.push(format!("{table}\n"));
    }
    lines.push(format!("from      {} to {}", audit.started_at, audit.ended_at));
    lines.push(format!("digest    sha256:{} of the log that was read", audit.log.digest));
    lines.extend(audit.log.cuts.iter().map(|cut| format!("cut       {cut}")));
    lines.push(format!("users     {} deleted, {} alive", audit.tombstones, audit.users));
    let mut looked_at = vec![count(audit.log.records, "record"), count(audit.keys, "key")];
    looked_at.extend(audit.old_keys.map(|keys| count(keys, "key") + " of a former key store"));
    looked_at.extend([
        count(audit.generations.len(), "generation"),
        count(audit.cache_keys, "key") + " of Redis",
        count(audit.analytics.len(), "partition") + " of users.analytics",
    ]);
    lines.push(format!("looked at {}", looked_at.join(", ")));
    if audit.discarded > 0 {
        let records = count(audit.discarded, "record");
        lines.push(format!("discarded {records}: an operator's word that they are dealt with"));
    }
    let undecided = audit.undecided.keys;
    let found = match audit.is_clean() {
        true if undecided > 0 => "nothing of deleted users".to_owned(),
        true => "nothing".to_owned(),
        false => counts(&audit.counts),
    };
    lines.push(format!("found     {found}"));
    let ways = audit.counts.iter().filter_map(|Count { kind, .. }| Some((kind, kind.remedy()?)));
    lines.extend(ways.map(|(kind, remedy)| format!("way out   {kind}: {remedy}")));
    if undecided > 0 {
        lines.push(format!(
            "undecided {}: nobody can tell whether they are needed, as for another log. `rollcall keys status --undecided` names them",
            count(undecided, "key")
        ));
    }
    lines.join("\n")
}

fn counts(counts: &[Count]) -> String {
    let words: Vec<_> = counts.iter().map(|Count { kind, count }| format!("{kind}: {count}")).collect();
    words.join("; ")
}
