//! `rollcall erasure prove`

use super::{
    super::{print, screen::Screen, table::Table, user::User},
    partitions,
};
use crate::settings;
use projector::erasure::{EventCounts, Finding, GenerationLook, Proof};
use serde_json::json;

/// Looks everywhere for what is kept of a user: exit 0 if they are erased, or were never there
///
/// Reads the whole log and tries every key that there is on each of the user's events; looks through all generations of the read model with
/// their dead letters and queues, Redis, and the analytics topic. Prints what it looked at and what it found, and nothing personal.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    user: User,
    /// JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the end, to be filed
    #[arg(long)]
    json: bool,
}

pub(crate) async fn prove(args: &Args) -> anyhow::Result<()> {
    let mut screen = Screen::new(args.json);
    let settings = settings::completed()?;
    let proof =
        projector::erasure::prove(&settings, &args.user.key(), |progress| screen.show(progress)).await;
    screen.end();
    let proof = proof?;
    if args.json {
        print(json!({"summary": proof}))?;
    } else {
        print(text(&proof))?;
    }
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
    lines.push(format!("digest    sha256:{} of the log that was read\n", proof.log.digest));
    lines.push(table(proof).to_string());
    if !proof.findings.is_empty() {
        let heading = if proof.tombstone.is_some() { "left" } else { "held" };
        lines.push(format!("\n{heading}"));
        lines.extend(proof.findings.iter().map(finding));
    }
    lines.join("\n")
}

fn table(proof: &Proof) -> Table {
    let mut table = Table::new(["looked at", "how much", "of this user"]);
    let log = &proof.log;
    let (events, facts): (Vec<_>, Vec<_>) = log.partitions.iter().partition(|read| read.topic == "users");
    let records = |of: &[&projector::erasure::ScannedPartition]| {
        format!("{}, {} records", partitions(of.len()), of.iter().map(|read| read.records).sum::<u64>())
    };
    table.row(["users.events".to_owned(), records(&events), in_words(&proof.events)]);
    let count = proof.events.credential_facts;
    let pseudonymous = format!("{count} facts, pseudonymous by contract: they stay");
    table.row(["users.credentials".to_owned(), records(&facts), pseudonymous]);
    let keys = &proof.keys;
    let own = if keys.is_there { "their key is there" } else { "no key" };
    let tried = format!("{} keys, {} tries", keys.keys, keys.tries);
    let opened = format!("{own}; {} of {} sealed events opened", proof.events.opened, proof.events.sealed);
    table.row(["key store".to_owned(), tried, opened]);
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
    let cached = format!("{} bodies, {} marks without a body", cache.bodies, cache.marks);
    table.row(["Redis".to_owned(), format!("{} keys", cache.keys), cached]);
    let look = &proof.analytics;
    let read = format!("{}, {} events", partitions(look.partitions.len()), look.events);
    let mut said = format!("{} events, {} of them with more than ids", look.of_user, look.saying_more);
    if look.of_nobody > 0 {
        said.push_str(&format!("; {} with claims, nobody can tell whose", look.of_nobody));
    }
    table.row(["users.analytics".to_owned(), read, said]);
    table
}

fn in_words(counts: &EventCounts) -> String {
    let EventCounts { events, sealed, plain, unclear, impersonal, .. } = counts;
    let mut words = format!("{events} events: {sealed} sealed, {impersonal} without a personal part");
    for (count, what) in [(plain, "never sealed"), (unclear, "unclear")] {
        if *count > 0 {
            words.push_str(&format!(", {count} {what}"));
        }
    }
    words
}

fn rows(look: &GenerationLook) -> String {
    let GenerationLook { users, blanked, credentials, dead_letters, is_tombstone_there, .. } = look;
    let tombstone = if *is_tombstone_there { "the tombstone, " } else { "" };
    let blank = if *blanked > 0 { format!(" ({blanked} blanked)") } else { String::new() };
    format!("{tombstone}{users} rows{blank}, {credentials} credentials, {dead_letters} dead letters")
}

fn finding(finding: &Finding) -> String {
    let Finding { kind, count, places } = finding;
    let more = if usize::try_from(*count).is_ok_and(|count| count > places.len()) { ", …" } else { "" };
    format!("  {count} {kind}: {}{more}", places.join(", "))
}
