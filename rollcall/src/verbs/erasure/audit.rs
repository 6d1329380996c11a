//! `rollcall erasure audit`

use super::{
    super::{print, screen::Screen, table::Table, words::count},
    ensure_whole,
};
use crate::settings;
use privacy::erasure::{Audit, Count};
use serde_json::json;

/// Search for remains of all deleted users, and for living users without a key
///
/// Exits with 0 if nothing was found. The log is read once, and sealed events are judged by the ids of
/// their keys; `erasure prove` tries the keys themselves, for one user. Prints no personal data.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Accept a log that does not begin at offset 0, although its beginning can't be searched
    #[arg(long)]
    from_cut: bool,
    /// Print JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the
    /// end
    #[arg(long)]
    json: bool,
}

pub(crate) async fn audit(args: &Args) -> anyhow::Result<()> {
    let mut screen = Screen::new(args.json);
    let settings = settings::load()?;
    let audit = privacy::erasure::audit(&settings, |progress| screen.show(progress)).await;
    screen.end();
    let audit = audit?;
    if args.json {
        print(json!({"summary": audit}))?
    } else {
        print(text(&audit))?
    }
    ensure_whole(&audit.log, args.from_cut)?;
    anyhow::ensure!(audit.is_clean(), "found {}", counts(&audit.counts));
    Ok(())
}

fn text(audit: &Audit) -> String {
    let mut lines = Vec::new();
    if !audit.is_clean() {
        lines.push(format!("{}\n", findings(audit)));
    }
    lines.push(format!("from      {} to {}", audit.started_at, audit.ended_at));
    lines.push(format!("digest    sha256:{} of the scanned log", audit.log.digest));
    lines.extend(audit.log.cuts.iter().map(|cut| format!("cut       {cut}")));
    lines.push(format!("users     {} deleted, {} alive", audit.tombstones, audit.users));
    lines.push(format!("searched  {}", searched(audit)));
    if audit.discarded > 0 {
        let records = count(audit.discarded, "record");
        lines.push(format!("discarded {records}: an operator has recorded that they are dealt with"));
    }
    let undecided = audit.undecided.keys;
    let found = match audit.is_clean() {
        true if undecided > 0 => "nothing of deleted users".to_owned(),
        true => "nothing".to_owned(),
        false => counts(&audit.counts),
    };
    lines.push(format!("found     {found}"));
    let remedies = audit.counts.iter().filter_map(|Count { kind, .. }| Some((kind, kind.remedy()?)));
    lines.extend(remedies.map(|(kind, remedy)| format!("remedy    {kind}: {remedy}")));
    if undecided > 0 {
        lines.push(format!(
            "undecided {}: nothing proves whether they are needed. `rollcall keys status --undecided` lists them",
            count(undecided, "key")
        ));
    }
    lines.join("\n")
}

fn findings(audit: &Audit) -> Table {
    let mut table = Table::new(["tenant", "user", "found", "where"]);
    for found in &audit.findings {
        let words = found.kind.to_string();
        table.row([found.tenant_id.to_string(), found.user_id.to_string(), words, found.place.clone()]);
    }
    table
}

/// What was searched, in numbers.
fn searched(audit: &Audit) -> String {
    let mut searched = vec![count(audit.log.records, "record"), count(audit.keys, "key")];
    searched.extend(audit.old_keys.map(|keys| count(keys, "key") + " of an old key store"));
    searched.extend([
        count(audit.generations.len(), "generation"),
        count(audit.cache_keys, "key") + " of Redis",
        count(audit.analytics.len(), "partition") + " of users.analytics",
    ]);
    searched.join(", ")
}

fn counts(counts: &[Count]) -> String {
    let words: Vec<_> = counts.iter().map(|Count { kind, count }| format!("{kind}: {count}")).collect();
    words.join("; ")
}
