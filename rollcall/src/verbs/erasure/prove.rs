//! `rollcall erasure prove`

use super::{
    super::{print, screen::Screen, table::Table, user::User},
    count, whole,
};
use crate::settings;
use privacy::erasure::{
    AnalyticsScan, CredentialCounts, EventCounts, Finding, GenerationTraces, OldKeyStoreScan, Proof,
    ScannedPartition,
};
use serde_json::json;

/// Looks everywhere for what is kept of a user: exit 0 if they are erased, or were never there
///
/// Reads the whole log and tries every key that there is on each of the user's events; looks through all generations of the read model with
/// their dead letters and queues, Redis, and the analytics topic. Prints what it looked at and what it found, and nothing personal.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    user: User,
    /// Lets a log count as whole that does not begin at offset 0: what lay before can't be looked at
    #[arg(long)]
    from_cut: bool,
    /// JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the end, to be filed
    #[arg(long)]
    json: bool,
}

pub(crate) async fn prove(args: &Args) -> anyhow::Result<()> {
    let mut screen = Screen::new(args.json);
    let settings = settings::completed()?;
    let proof = privacy::erasure::prove(&settings, &args.user.key(), |progress| screen.show(progress)).await;
    screen.end();
    let proof = proof?;
    if args.json {
        print(json!({"summary": proof}))?;
    } else {
        print(text(&proof))?;
    }
    whole(&proof.log, args.from_cut)?;
    anyhow::ensure!(proof.verdict.is_clean(), "{}", proof.verdict);
    Ok(())
}

fn text(proof: &Proof) -> String {
    let mut lines = vec![
        format!("user      {}/{}", proof.tenant_id, proof.user_id),
        format!("verdict   {}", proof.verdict),
    ];
    if let Some(tombstone) = &proof.tombstone {
        let (at, version, place) = (tombstone.deleted_at, tombstone.version, tombstone.place);
        lines.push(format!("deleted   {at} as version {version} by the event {place}"));
    }
    lines.push(format!("from      {} to {}", proof.started_at, proof.ended_at));
    lines.push(format!("digest    sha256:{} of the log that was read", proof.log.digest));
    lines.extend(proof.log.cuts.iter().map(|cut| format!("cut       {cut}")));
    lines.push(String::new());
    lines.push(table(proof).to_string());
    if !proof.discarded.is_empty() {
        let places = proof.discarded.join(", ");
        lines
            .push(format!("\ndiscarded by an operator, who says thereby that they are dealt with: {places}"));
    }
    if !proof.findings.is_empty() {
        let heading = if proof.tombstone.is_some() { "left" } else { "held" };
        lines.push(format!("\n{heading}"));
        lines.extend(proof.findings.iter().map(finding));
    }
    lines.join("\n")
}

fn table(proof: &Proof) -> Table {
    let mut table = Table::new(["looked at", "how much", "of this user"]);
    let (events, facts): (Vec<_>, Vec<_>) =
        proof.log.partitions.iter().partition(|read| read.topic == "users");
    table.row(["users.events".to_owned(), records(&events), in_words(&proof.events)]);
    table.row(["users.credentials".to_owned(), records(&facts), credentials(&proof.credentials)]);
    table.row(key_store(proof));
    if let Some(OldKeyStoreScan { keys, is_there }) = proof.old_key_store {
        let own = if is_there { "their key is there" } else { "no key" };
        table.row(["former key store".to_owned(), count(keys, "key"), own.to_owned()]);
    }
    for look in &proof.generations {
        let state = look.state.as_deref().unwrap_or("unknown");
        table.row([format!("generation {}", look.generation), state.to_owned(), rows(look)]);
    }
    let steps = match proof.pending_steps.as_slice() {
        [] => "no step to be done".to_owned(),
        steps => format!("to be done: {}", steps.join(", ")),
    };
    table.row(["pending steps".to_owned(), "all".to_owned(), steps]);
    let cache = &proof.cache;
    let cached = format!("{}, {}", bodies(cache.bodies), count(cache.invalidations, "invalidation"));
    table.row(["Redis".to_owned(), count(cache.keys, "key"), cached]);
    table.row(analytics(&proof.analytics));
    table
}

fn records(read: &[&ScannedPartition]) -> String {
    let records = read.iter().map(|read| read.records).sum::<u64>();
    format!("{}, {}", count(read.len(), "partition"), count(records, "record"))
}

fn bodies(bodies: u64) -> String {
    if bodies > 1 { format!("{bodies} bodies") } else { count(bodies, "body") }
}

fn key_store(proof: &Proof) -> [String; 3] {
    let (keys, EventCounts { sealed, opened, .. }) = (&proof.keys, &proof.events);
    let own = if keys.is_there { "their key is there" } else { "no key" };
    let tried = format!("{}, {} tries", count(keys.keys, "key"), keys.tries);
    let opened = match sealed {
        0 => own.to_owned(),
        _ => format!("{own}; {opened} of {} could be opened", count(*sealed, "sealed event")),
    };
    ["key store".to_owned(), tried, opened]
}

fn analytics(look: &AnalyticsScan) -> [String; 3] {
    let read = format!("{}, {}", count(look.partitions.len(), "partition"), count(look.events, "event"));
    let mut said = count(look.of_user, "event");
    match look.personal {
        0 if look.of_user == 0 => {}
        0 => said.push_str(", with ids alone"),
        more => said.push_str(&format!(", {more} of them with more than ids")),
    }
    if look.of_nobody > 0 {
        said.push_str(&format!(
            "; {} with claims, nobody can tell whose",
            count(look.of_nobody, "more event")
        ));
    }
    ["users.analytics".to_owned(), read, said]
}

fn in_words(counts: &EventCounts) -> String {
    let EventCounts { events, sealed, plain, unclear, discarded, impersonal, opened: _ } = *counts;
    let kinds = [
        (sealed, "sealed"),
        (plain, "never sealed"),
        (unclear, "unclear"),
        (discarded, "discarded"),
        (impersonal, "without a personal part"),
    ];
    count(events, "event") + &of_kinds(&kinds)
}

fn credentials(counts: &CredentialCounts) -> String {
    let CredentialCounts { records, facts, unclear, discarded, empty } = *counts;
    let kinds = [
        (facts, "pseudonymous by contract, which stay"),
        (unclear, "unclear"),
        (discarded, "discarded"),
        (empty, "without a value"),
    ];
    count(records, "record") + &of_kinds(&kinds)
}

fn of_kinds(kinds: &[(u64, &str)]) -> String {
    let there: Vec<_> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if there.is_empty() { String::new() } else { format!(": {}", there.join(", ")) }
}

fn rows(look: &GenerationTraces) -> String {
    let tombstone = if look.has_tombstone { "the tombstone, " } else { "" };
    let blank = if look.blanked > 0 { ", a blanked row" } else { "" };
    let (rows, letters) = (count(look.users, "row"), count(look.dead_letters, "dead letter"));
    format!("{tombstone}{rows}{blank}, {}, {letters}", count(look.credentials, "credential"))
}

fn finding(finding: &Finding) -> String {
    let Finding { kind, count, places, remedy } = finding;
    let more = if usize::try_from(*count).is_ok_and(|count| count > places.len()) { ", …" } else { "" };
    let remedy = remedy.map_or_else(String::new, |remedy| format!("\n    {remedy}"));
    format!("  {kind}: {count} ({}{more}){remedy}", places.join(", "))
}
