//! `rollcall log import`

use super::super::{
    bar::{Throttle, bar},
    print,
    words::number,
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

/// Import users or credentials from JSON lines, skipping those that exist
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file, or - for stdin
    file: PathBuf,
    /// The tenant of the users
    #[arg(long, value_name = "T")]
    tenant: TenantId,
    /// Import credentials instead of users
    #[arg(long)]
    credentials: bool,
    /// Return when everything is in the log, without waiting until it is visible
    #[arg(long)]
    no_wait: bool,
    /// Print JSON lines: {"progress": …} once a second, and {"summary": …} at the end. Bad lines are
    /// reported on stderr
    #[arg(long)]
    json: bool,
}

/// What it leaves if it is interrupted.
pub(super) const LEFT: &str =
    "what was imported stays. Run the same import again: it skips what is there already";

const OF_A_FILE: &str =
    "{wide_bar} {binary_bytes}/{binary_total_bytes}  {msg}  {binary_bytes_per_sec}  {eta} left";
const OF_A_STREAM: &str = "{spinner} {binary_bytes}  {msg}  {elapsed}";

pub(crate) async fn import(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    // With another number of partitions, a user's new records would be in another partition.
    event_log::check_partitions(&settings).await?;
    let (input, total) =
        open(&args.file).with_context(|| format!("{} can't be read", args.file.display()))?;
    let kind = if args.credentials { Kind::Credentials } else { Kind::Users };
    let mut screen = Screen::new(args, total);
    let on_progress = |progress: &Progress, bad: &[BadLine]| screen.show(progress, bad);
    let report = import::run(&settings, &args.tenant, kind, input, !args.no_wait, on_progress).await;
    screen.bar.finish_and_clear();
    let report = report?;
    report_import(args, &report)?;
    anyhow::ensure!(report.bad == 0, "{} of {} lines are bad", report.bad, report.read);
    Ok(())
}

type Input = Box<dyn BufRead + Send>;

/// The input, and its size in bytes if that is known.
fn open(file: &Path) -> std::io::Result<(Input, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(stdin())), None));
    }
    let file = File::open(file)?;
    let metadata = file.metadata()?;
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), metadata.is_file().then_some(metadata.len())))
}

/// Shows the progress.
struct Screen {
    is_json: bool,
    total: Option<u64>,
    bar: ProgressBar,
    throttle: Throttle,
    /// The open transactions that were reported, by partition and first offset.
    reported: BTreeSet<(i32, i64)>,
}

impl Screen {
    fn new(args: &Args, total: Option<u64>) -> Self {
        let template = if total.is_some() { OF_A_FILE } else { OF_A_STREAM };
        Self {
            is_json: args.json,
            total,
            bar: bar(total, template),
            throttle: Throttle::default(),
            reported: BTreeSet::new(),
        }
    }

    fn show(&mut self, progress: &Progress, bad: &[BadLine]) {
        for BadLine { line, reason } in bad {
            // Suspended, so that the line is above the bar.
            self.bar.suspend(|| say(format_args!("line {line}: {reason}")));
        }
        for held in &progress.held {
            self.report_held(held);
        }
        self.bar.set_position(progress.bytes);
        self.bar.set_message(match progress.awaited {
            0 => number(progress.read, "line"),
            awaited => format!("{}, {awaited} not visible yet", number(progress.read, "line")),
        });
        if self.is_json && self.throttle.is_due() {
            // If stdout is closed, printing the summary reports it.
            let _ = print(json!({"progress": in_json(progress, self.total)}));
        }
    }

    /// Says once that an open transaction holds the import up.
    fn report_held(&mut self, held: &BlockingTransaction) {
        if self.reported.insert((held.partition, held.transaction.offset)) {
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

fn report_import(args: &Args, report: &Report) -> anyhow::Result<()> {
    let Report { read, appended, already_there, bad, bytes } = report;
    if args.json {
        return print(json!({"summary": {
            "lines": read, "appended": appended, "alreadyThere": already_there, "bad": bad, "bytes": bytes,
        }}));
    }
    let seen = if args.no_wait { "in the log" } else { "visible" };
    print(format_args!(
        "{}: {appended} new and {seen}, {already_there} already there, {bad} bad",
        number(*read, "line")
    ))
}
