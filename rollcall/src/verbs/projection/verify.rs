//! `rollcall projection verify`

use super::{
    super::{print, screen::Screen, table::Table, words::number},
    further::Name,
};
use crate::settings;
use projector::{Difference, VerifyOptions, VerifyReport};
use serde_json::json;

/// Compare a generation with the live one, row by row
///
/// Compares users, deleted users, credentials and postings of both at the same offsets, by a digest for each
/// tenant, and names the users that differ, without values. Writers wait at most a second, and reads not at
/// all. Of another projection, it compares all tables, and nobody waits. The exit code is 1 if they differ.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The generation. Without it: the newest that is built and was never live
    #[arg(value_name = "N")]
    generation: Option<i32>,
    #[command(flatten)]
    name: Name,
    /// The most differences that are named
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: u16,
    /// Print JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the
    /// end
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) fn left(&self) -> String {
        let of = self.name.option();
        format!("nothing was changed. `rollcall projection verify{of}` compares again")
    }
}

pub(crate) async fn verify(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let mut screen = Screen::new(args.json);
    let options = VerifyOptions { generation: args.generation, limit: args.limit.into() };
    let progress = |progress| screen.show(progress);
    let report = match &args.name.projection {
        None => projector::verify(&settings, options, progress).await,
        Some(name) => projector::projections::verify(&settings, name, options, progress).await,
    };
    screen.end();
    let report = report?;
    if args.json {
        print(json!({"summary": report}))?;
    } else {
        print_comparison(&report, &args.name.option())?;
    }
    let VerifyReport { generation, live, is_equal, .. } = report;
    anyhow::ensure!(is_equal, "generation {generation} differs from generation {live}, which is live");
    Ok(())
}

/// Prints a comparison in words. `of` is the option that names its projection.
pub(super) fn print_comparison(report: &VerifyReport, of: &str) -> anyhow::Result<()> {
    let VerifyReport { generation, live, tenants, seconds, held_seconds, .. } = report;
    let mut table = Table::new(["table", "live", "other", "result"]);
    for compared in &report.tables {
        table.row([
            compared.table.clone(),
            compared.in_live.to_string(),
            compared.in_other.to_string(),
            if compared.is_equal { "equal" } else { "different" }.to_owned(),
        ]);
    }
    print(table)?;
    differences(report, of).into_iter().try_for_each(print)?;
    if let Some(digest) = &report.digest {
        print(format_args!("digest {digest}"))?;
    }
    let tenants = number(*tenants, "tenant");
    print(format_args!(
        "generation {generation} is compared with generation {live} ({tenants}) after {seconds:.1} s; writers waited {held_seconds:.2} s"
    ))
}

fn differences(report: &VerifyReport, of: &str) -> Vec<String> {
    let VerifyReport { generation, live, .. } = report;
    let line = |difference: &Difference| {
        let what = match (difference.in_live, difference.in_other) {
            (true, true) if !difference.fields.is_empty() => difference.fields.join(", "),
            (true, true) => "rows differ".to_owned(),
            (true, false) => format!("only in generation {live}"),
            (false, _) => format!("only in generation {generation}"),
        };
        format!("  tenant {}, user {}, {}: {what}", difference.tenant, difference.user, difference.table)
    };
    let more = report.has_more.then(|| {
        format!(
            "  and more: only the first {} are named. `rollcall projection verify {generation}{of} --limit COUNT` names more",
            report.differences.len()
        )
    });
    report.differences.iter().map(line).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn report(fields: &[&str], has_more: bool) -> VerifyReport {
        let difference = Difference {
            tenant: "acme".to_owned(),
            user: Uuid::nil(),
            table: "activity".to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            in_live: true,
            in_other: true,
        };
        VerifyReport {
            generation: 2,
            live: 1,
            is_equal: false,
            tables: Vec::new(),
            tenants: 1,
            differing_tenants: vec!["acme".to_owned()],
            differences: vec![difference],
            has_more,
            digest: None,
            held_seconds: 0.0,
            seconds: 0.0,
        }
    }

    #[test]
    fn columns_are_named_and_a_limit_is_said() {
        let lines = differences(&report(&["creates", "updates"], true), " --projection statistics");
        assert!(lines[0].ends_with("activity: creates, updates"), "{lines:?}");
        assert!(lines[1].contains("only the first 1 are named"), "{lines:?}");
        assert!(
            lines[1].contains("`rollcall projection verify 2 --projection statistics --limit COUNT`"),
            "{lines:?}"
        );
        assert_eq!(differences(&report(&[], false), "").len(), 1);
    }
}
