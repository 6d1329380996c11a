//! `rollcall log copy`

use super::super::{print, screen::Screen, table::Table};
use crate::settings;
use projector::{CopiedTopic, CopyOptions, CopyReport};
use serde_json::json;

/// Copy the log into new topics, optionally with another number of partitions
///
/// Use it to repair topics that got more partitions. The log itself is only read. Records keep their
/// headers and times, and records of one user keep their order. If a user's records are in two
/// partitions, events are ordered by their sequence, and facts about credentials, which have none, by
/// Kafka's time. Discarded records stay discarded. At the end the copy is read and compared.
///
/// First stop the services and everything else that writes to the topics. Afterwards set
/// ROLLCALL_TOPIC_PREFIX to the new prefix, restart everything with it, and run `rollcall projection
/// rebuild --promote`. Analytic events are not copied.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The prefix of the new topics, which must be empty
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    to_prefix: String,
    /// Partitions of the new topics [default: as many as the log was created with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    partitions: Option<u32>,
    /// Partitions that the log was created with, if the read model does not know
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    made_with: Option<u32>,
    /// Copy a log that does not begin at offset 0, without its lost beginning
    #[arg(long)]
    from_cut: bool,
    /// Print JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the
    /// end
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) fn left(&self) -> String {
        format!(
            "the log was only read, and its copy is not complete. Run `rollcall log copy` again with another --to-prefix, and \
             delete the topics {0}users.events and {0}users.credentials",
            self.to_prefix
        )
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() <= 200 && text.chars().all(is_legal) {
        Ok(text.to_owned())
    } else {
        Err("expected at most 200 characters of A-Z a-z 0-9 . _ -".to_owned())
    }
}

pub(crate) async fn copy(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let options = CopyOptions {
        to_prefix: args.to_prefix.clone(),
        partitions: args.partitions,
        made_with: args.made_with,
        from_cut: args.from_cut,
    };
    let mut screen = Screen::new(args.json);
    let report = projector::copy_log(&settings, &options, |progress| screen.show(progress)).await;
    screen.end();
    report_copy(args, &report?)
}

fn report_copy(args: &Args, report: &CopyReport) -> anyhow::Result<()> {
    if args.json {
        return print(json!({"summary": report}));
    }
    let mut table =
        Table::new(["topic", "copy", "partitions", "copy's", "records", "users in two", "misplaced"]);
    for topic in &report.topics {
        let CopiedTopic { from, to, from_partitions, to_partitions, records, joined_users, strays } = topic;
        table.row([
            from.clone(),
            to.clone(),
            from_partitions.to_string(),
            to_partitions.to_string(),
            records.to_string(),
            joined_users.to_string(),
            strays.to_string(),
        ]);
    }
    print(format_args!("{table}\n"))?;
    print(format_args!(
        "every record is in the copy. Set ROLLCALL_TOPIC_PREFIX={}, restart everything, then run `rollcall projection rebuild --promote`. Keep the old topics \
         for a while",
        args.to_prefix
    ))
}
