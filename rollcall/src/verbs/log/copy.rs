//! `rollcall log copy`

use super::super::{
    bar::{Now, bar},
    print,
    table::Table,
};
use crate::settings;
use indicatif::ProgressBar;
use projector::{CopiedTopic, CopyOptions, CopyPhase, CopyProgress, CopyReport};
use serde_json::json;

/// Copies the log into new topics, with another number of partitions where that is wanted; the log itself is only read
///
/// The way back from topics that got more partitions. Records stay as they are, with their headers and times, and those of one user keep their
/// order. Where a user's records lie in two partitions, the sequence of events decides; facts about credentials have none, so the times at which
/// Kafka took them decide. What was discarded stays discarded. At the end the copy is read and compared.
///
/// Stop the services and everybody who writes to the topics before. Then set ROLLCALL_TOPIC_PREFIX to the new prefix, restart
/// everything with it, and run `rollcall projection rebuild`. Analytic events are not copied.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the names of the new topics begin with; there must be no records in them
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    to_prefix: String,
    /// Partitions of the new topics; without it as many as the log was made with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    partitions: Option<u32>,
    /// Partitions that the log was made with, where the read model does not know it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    made_with: Option<u32>,
    /// Copies what is left of a log that does not begin at offset 0
    #[arg(long)]
    from_cut: bool,
    /// JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the end
    #[arg(long)]
    json: bool,
}

const BAR: &str = "{wide_bar} {human_pos}/{human_len} records  {msg}  {per_sec}  {eta} left";

fn prefix(text: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() <= 200 && text.chars().all(is_legal) {
        Ok(text.to_owned())
    } else {
        Err("at most 200 characters of A-Z a-z 0-9 . _ -".to_owned())
    }
}

pub(crate) async fn copy(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let options = CopyOptions {
        to_prefix: args.to_prefix.clone(),
        partitions: args.partitions,
        made_with: args.made_with,
        from_cut: args.from_cut,
    };
    let mut screen = Screen { is_json: args.json, bar: bar(Some(0), BAR), now: Now::default(), step: None };
    let report = projector::copy_log(&settings, &options, |progress| screen.show(&progress)).await;
    screen.bar.finish_and_clear();
    tell(args, &report?)
}

/// What is seen while it goes on.
struct Screen {
    is_json: bool,
    bar: ProgressBar,
    now: Now,
    step: Option<(String, CopyPhase)>,
}

impl Screen {
    fn show(&mut self, progress: &CopyProgress) {
        let step = (progress.topic.clone(), progress.phase);
        let is_new = self.step.as_ref() != Some(&step);
        if is_new {
            self.bar.set_message(format!("{} {}", in_words(progress.phase), progress.topic));
            self.step = Some(step);
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.records);
        // Asked in any case, so that a step counts as the line of its second.
        let is_due = self.now.is_due();
        if self.is_json && (is_new || is_due) {
            // If nobody reads, the summary will find out.
            let _ = print(json!({"progress": progress}));
        }
    }
}

fn in_words(phase: CopyPhase) -> &'static str {
    match phase {
        CopyPhase::Surveying => "looking through",
        CopyPhase::Copying => "copying",
        CopyPhase::Verifying => "comparing",
    }
}

fn tell(args: &Args, report: &CopyReport) -> anyhow::Result<()> {
    if args.json {
        return print(json!({"summary": report}));
    }
    let mut table =
        Table::new(["topic", "copy", "partitions", "of the copy", "records", "users in two", "not at home"]);
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
        "every record is in the copy. Set ROLLCALL_TOPIC_PREFIX={}, restart everything with it, then run `rollcall projection rebuild`. Keep the old topics \
         until the copy has served for a while",
        args.to_prefix
    ))
}
