//! `rollcall erasure prove`

use super::{
    super::{
        print,
        screen::Screen,
        table::Table,
        user::User,
        words::{count, number},
    },
    ensure_whole,
};
use crate::settings;
use privacy::erasure::{
    AnalyticsScan, CredentialCounts, EventCounts, Finding, GenerationTraces, MAX_PLACES, OldKeyStoreScan,
    ProjectionTraces, Proof, ScannedPartition,
};
use read_model::generation::GenerationState;
use serde_json::json;

/// Search every place for data of one user
///
/// Exits with 0 if the user is erased or never existed. Reads the whole log and tries every existing key
/// on each of the user's events; searches all generations of the read model with their dead letters,
/// Redis, and the analytics topic. Prints what was searched and what was found, but no personal data.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    user: User,
    /// Accept a log that does not begin at offset 0, although its beginning can't be searched
    #[arg(long)]
    from_cut: bool,
    /// Print JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the
    /// end, which you can archive
    #[arg(long)]
    json: bool,
}

pub(crate) async fn prove(args: &Args) -> anyhow::Result<()> {
    let mut screen = Screen::new(args.json);
    let settings = settings::load()?;
    let proof = privacy::erasure::prove(&settings, &args.user.key(), |progress| screen.show(progress)).await;
    screen.end();
    let proof = proof?;
    if args.json {
        print(json!({"summary": proof}))?;
    } else {
        print(text(&proof))?;
    }
    ensure_whole(&proof.log, args.from_cut)?;
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
    lines.push(format!("digest    sha256:{} of the scanned log", proof.log.digest));
    lines.extend(proof.log.cuts.iter().map(|cut| format!("cut       {cut}")));
    lines.push(String::new());
    lines.push(table(proof).to_string());
    if !proof.discarded.is_empty() {
        let places = proof.discarded.join(", ");
        lines.push(format!("\ndiscarded by an operator as dealt with: {places}"));
    }
    if !proof.findings.is_empty() {
        let heading = if proof.tombstone.is_some() { "left" } else { "held" };
        lines.push(format!("\n{heading}"));
        lines.extend(proof.findings.iter().map(finding));
    }
    lines.join("\n")
}

fn table(proof: &Proof) -> Table {
    let mut table = Table::new(["searched", "how much", "of this user"]);
    let (users, facts): (Vec<_>, Vec<_>) =
        proof.log.partitions.iter().partition(|read| read.topic == "users");
    table.row(["users.events".to_owned(), records(&users), events(&proof.events)]);
    table.row(["users.credentials".to_owned(), records(&facts), credentials(&proof.credentials)]);
    table.row(key_store(proof));
    if let Some(OldKeyStoreScan { keys, is_there }) = proof.old_key_store {
        let own = if is_there { "the user's key exists" } else { "no key" };
        table.row(["old key store".to_owned(), count(keys, "key"), own.to_owned()]);
    }
    for traces in &proof.generations {
        let state = traces.state.map_or("unknown", GenerationState::as_str);
        table.row([format!("generation {}", traces.generation), state.to_owned(), rows(traces)]);
    }
    for ProjectionTraces { table: name, state, rows } in &proof.projections {
        let state = state.map_or("unknown", GenerationState::as_str);
        table.row([name.clone(), state.to_owned(), count(*rows, "row")]);
    }
    let steps = match proof.pending_steps.as_slice() {
        [] => "none".to_owned(),
        steps => format!("pending: {}", steps.join(", ")),
    };
    table.row(["pending steps".to_owned(), "all".to_owned(), steps]);
    let cache = &proof.cache;
    let cached = format!("{}, {}", count(cache.bodies, "body"), count(cache.invalidations, "invalidation"));
    table.row(["Redis".to_owned(), count(cache.keys, "key"), cached]);
    table.row(analytics(&proof.analytics));
    table
}

fn records(read: &[&ScannedPartition]) -> String {
    let records = read.iter().map(|read| read.records).sum::<u64>();
    format!("{}, {}", count(read.len(), "partition"), count(records, "record"))
}

fn key_store(proof: &Proof) -> [String; 3] {
    let (keys, EventCounts { sealed, opened, .. }) = (&proof.keys, &proof.events);
    let own = if keys.is_there { "the user's key exists" } else { "no key" };
    let tried = format!("{}, {}", count(keys.keys, "key"), number(keys.tries, "try"));
    let opened = match sealed {
        0 => own.to_owned(),
        _ => format!("{own}; {opened} of {} could be opened", count(*sealed, "sealed event")),
    };
    ["key store".to_owned(), tried, opened]
}

fn analytics(scan: &AnalyticsScan) -> [String; 3] {
    let read = format!("{}, {}", count(scan.partitions.len(), "partition"), count(scan.events, "event"));
    let mut found = count(scan.of_user, "event");
    match scan.personal {
        0 if scan.of_user == 0 => {}
        0 => found.push_str(", with ids only"),
        more => found.push_str(&format!(", {more} of them with more than ids")),
    }
    if scan.of_nobody > 0 {
        found.push_str(&format!("; {} with claims of an unknown user", count(scan.of_nobody, "more event")));
    }
    ["users.analytics".to_owned(), read, found]
}

fn events(counts: &EventCounts) -> String {
    let EventCounts { events, sealed, plain, unclear, discarded, impersonal, opened: _ } = *counts;
    let kinds = [
        (sealed, "sealed"),
        (plain, "never sealed"),
        (unclear, "unclear"),
        (discarded, "discarded"),
        (impersonal, "without a personal part"),
    ];
    count(events, "event") + &by_kind(&kinds)
}

fn credentials(counts: &CredentialCounts) -> String {
    let CredentialCounts { records, facts, unclear, discarded, empty } = *counts;
    let kinds = [
        (facts, "pseudonymous by contract, kept"),
        (unclear, "unclear"),
        (discarded, "discarded"),
        (empty, "without a value"),
    ];
    count(records, "record") + &by_kind(&kinds)
}

fn by_kind(kinds: &[(u64, &str)]) -> String {
    let there: Vec<_> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if there.is_empty() { String::new() } else { format!(": {}", there.join(", ")) }
}

fn rows(traces: &GenerationTraces) -> String {
    let tombstone = if traces.has_tombstone { "the tombstone, " } else { "" };
    let blank = if traces.blanked > 0 { ", a blanked row" } else { "" };
    let (rows, letters) = (count(traces.users, "row"), count(traces.dead_letters, "dead letter"));
    let postings =
        if traces.postings > 0 { format!(", {}", count(traces.postings, "posting")) } else { String::new() };
    format!("{tombstone}{rows}{blank}{postings}, {}, {letters}", count(traces.credentials, "credential"))
}

fn finding(finding: &Finding) -> String {
    let Finding { kind, count, places, remedy } = finding;
    // One place may have several of a kind.
    let is_cut = places.len() == MAX_PLACES && usize::try_from(*count).is_ok_and(|count| count > MAX_PLACES);
    let first = if is_cut { "the first " } else { "" };
    let remedy = remedy.map_or_else(String::new, |remedy| format!("\n    {remedy}"));
    format!("  {kind}: {count}, at {first}{}: {}{remedy}", number(places.len(), "place"), places.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use privacy::erasure::Kind;

    fn found(count: u64, places: &[&str]) -> String {
        let places = places.iter().map(|place| (*place).to_owned()).collect();
        finding(&Finding { kind: Kind::Postings, count, places, remedy: None })
    }

    #[test]
    fn a_finding_says_of_what_there_are_so_many() {
        assert!(found(6, &["generation 1"]).ends_with("read model: 6, at 1 place: generation 1"));
        assert!(found(2, &["a", "b"]).ends_with(": 2, at 2 places: a, b"));
        assert!(found(45, &["a"; MAX_PLACES]).contains(": 45, at the first 20 places: a, a,"));
    }
}
