//! `rollcall log import`

use super::super::{
    bar::{Now, bar},
    print,
};
use crate::{local::progress::say, settings};
use anyhow::Context as _;
use command_service::import::{self, BadLine, BlockingTransaction, Kind, Progress, Report};
use events_schema::TenantId;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, stdin},
    path::{Path, PathBuf},
};

/// Imports users, or credentials, from JSON lines; what is there already is skipped
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file; - is stdin
    file: PathBuf,
    /// The tenant that they belong to
    #[arg(long, value_name = "T")]
    tenant: TenantId,
    /// The lines are credentials
    #[arg(long)]
    credentials: bool,
    /// Do not wait until everything is visible; it is in the log at the end all the same
    #[arg(long)]
    no_wait: bool,
    /// JSON lines: {"progress": …} once a second and {"summary": …} at the end; bad lines stay on stderr
    #[arg(long)]
    json: bool,
}

const OF_A_FILE: &str =
    "{wide_bar} {binary_bytes}/{binary_total_bytes}  {msg}  {binary_bytes_per_sec}  {eta} left";
const OF_A_STREAM: &str = "{spinner} {binary_bytes}  {msg}  {elapsed}";

pub(crate) async fn import(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    // A fact would lie in another partition than those before it.
    event_log::check_partitions(&settings).await?;
    let (input, total) =
        open(&args.file).with_context(|| format!("{} can't be read", args.file.display()))?;
    let kind = if args.credentials { Kind::Credentials } else { Kind::Users };
    let mut screen = Screen::new(args, total);
    let on_progress = |progress: &Progress, bad: &[BadLine]| screen.show(progress, bad);
    let report = import::run(&settings, &args.tenant, kind, input, !args.no_wait, on_progress).await;
    screen.bar.finish_and_clear();
    let report = report?;
    tell(args, &report)?;
    anyhow::ensure!(report.bad == 0, "{} of {} lines are bad", report.bad, report.read);
    Ok(())
}

type Input = Box<dyn BufRead + Send>;

/// The lines, and how many bytes they are where that is known.
fn open(file: &Path) -> std::io::Result<(Input, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(stdin())), None));
    }
    let file = File::open(file)?;
    let metadata = file.metadata()?;
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), metadata.is_file().then_some(metadata.len())))
}

/// What is seen while it goes on.
struct Screen {
    is_json: bool,
    total: Option<u64>,
    bar: ProgressBar,
    now: Now,
    /// The open transactions that were told of, by partition and first offset.
    told: BTreeSet<(i32, i64)>,
}

impl Screen {
    fn new(args: &Args, total: Option<u64>) -> Self {
        let template = if total.is_some() { OF_A_FILE } else { OF_A_STREAM };
        Self {
            is_json: args.json,
            total,
            bar: bar(total, template),
            now: Now::default(),
            told: BTreeSet::new(),
        }
    }

    fn show(&mut self, progress: &Progress, bad: &[BadLine]) {
        for BadLine { line, reason } in bad {
            // Above the bar, if there is one.
            self.bar.suspend(|| say(format_args!("line {line}: {reason}")));
        }
        for held in &progress.held {
            self.wait(held);
        }
        self.bar.set_position(progress.bytes);
        self.bar.set_message(match progress.awaited {
            0 => format!("{} lines", progress.read),
            awaited => format!("{} lines, {awaited} still to be seen", progress.read),
        });
        if self.is_json && self.now.is_due() {
            // If nobody reads, the summary will find out.
            let _ = print(json!({"progress": in_json(progress, self.total)}));
        }
    }

    /// Says once why nothing moves.
    fn wait(&mut self, held: &BlockingTransaction) {
        if self.told.insert((held.partition, held.transaction.offset)) {
            self.bar.suspend(|| say(format_args!("waiting: {held}")));
        }
    }
}

fn in_json(progress: &Progress, total: Option<u64>) -> Value {
    json!({
        "lines": progress.read, "appended": progress.appended, "alreadyThere": progress.already_there,
        "bad": progress.bad, "bytes": progress.bytes, "totalBytes": total, "awaited": progress.awaited,
        "openTransactions": progress.held,
    })
}

fn tell(args: &Args, report: &Report) -> anyhow::Result<()> {
    let Report { read, appended, already_there, bad, bytes } = report;
    if args.json {
        return print(json!({"summary": {
            "lines": read, "appended": appended, "alreadyThere": already_there, "bad": bad, "bytes": bytes,
        }}));
    }
    let seen = if args.no_wait { "in the log" } else { "visible" };
    print(format_args!("{read} lines: {appended} new and {seen}, {already_there} there before, {bad} bad"))
}
