//! `rollcall projection verify`

use super::{
    super::{print, screen::Screen, table::Table, words::number},
    further::Name,
};
use crate::settings;
use projector::{VerifyOptions, VerifyReport};
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
        print_comparison(&report)?;
    }
    let VerifyReport { generation, live, is_equal, .. } = report;
    anyhow::ensure!(is_equal, "generation {generation} differs from generation {live}, which is live");
    Ok(())
}

/// Prints a comparison in words.
pub(super) fn print_comparison(report: &VerifyReport) -> anyhow::Result<()> {
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
    for difference in &report.differences {
        let what = match (difference.in_live, difference.in_other) {
            (true, true) if !difference.fields.is_empty() => difference.fields.join(", "),
            (true, true) => "rows differ".to_owned(),
            (true, false) => format!("only in generation {live}"),
            (false, _) => format!("only in generation {generation}"),
        };
        print(format_args!(
            "  tenant {}, user {}, {}: {what}",
            difference.tenant, difference.user, difference.table
        ))?;
    }
    if let Some(digest) = &report.digest {
        print(format_args!("digest {digest}"))?;
    }
    let tenants = number(*tenants, "tenant");
    print(format_args!(
        "generation {generation} is compared with generation {live} ({tenants}) after {seconds:.1} s; writers waited {held_seconds:.2} s"
    ))
}
