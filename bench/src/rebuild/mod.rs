//! R6 and R7: a rebuild of the read model beside COPY of the same rows, and how fast a projector
//! that was paused catches up while reads go on.

mod copy;

use crate::{
    Build,
    load::{self, Figures, Request},
    stack::{Stack, megabytes},
    subject::Subject,
    table, users,
};
use anyhow::ensure;
use serde_json::{Map, json};
use sqlx::{Connection as _, PgConnection};
use std::{
    io::{Write as _, stdout},
    path::Path,
    process::Child,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// So many updates of each user come after its creation.
const UPDATES: usize = 2;
const WRITERS: usize = 64;
/// The connections that read while a projector catches up, and how many reads per second they send.
const READERS: usize = 16;
const READS: u32 = 500;
/// How long reads are measured at once.
const TURN: Duration = Duration::from_secs(1);
/// So often they are measured before.
const QUIET_TURNS: usize = 5;
/// How often to look at what is measured.
const LOOK: Duration = Duration::from_millis(20);

/// R6 at one size.
struct Rebuilt {
    users: u64,
    /// Of each round.
    seconds: Vec<f64>,
    copy_seconds: Vec<f64>,
    /// The most memory that a rebuild had.
    megabytes: f64,
}

/// R7.
struct CaughtUp {
    records: u64,
    seconds: f64,
    /// p99 of reads, in milliseconds.
    quiet: f64,
    beside: f64,
}

/// What was measured of a build.
pub(crate) struct Measured {
    rebuilt: Vec<Rebuilt>,
    caught_up: CaughtUp,
}

/// Measures rebuilds of `count` users and of twice as many, then a catch-up with `count` new users.
pub(crate) fn measure(build: &Build, count: u32, rounds: usize) -> anyhow::Result<Measured> {
    let stack = Stack::launch(build, "rebuild")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = u64::from(count);
    let mut rebuilt = Vec::new();
    for size in [count, 2 * count] {
        stack.import(users::TENANT, (size - count..size).map(users::request))?;
        let new: Vec<String> = runtime.block_on(stack.ids())?.split_off(usize::try_from(size - count)?);
        let subject = runtime.block_on(Subject::service(&stack, Arc::new(new)))?;
        runtime.block_on(load::repeat_each(Request::Put, WRITERS, &subject, UPDATES))?;
        rebuilt.push(rebuild(&stack, &runtime, size, rounds)?);
    }
    let caught_up = runtime.block_on(catch_up(&stack, count))?;
    stack.stop()?;
    Ok(Measured { rebuilt, caught_up })
}

fn rebuild(stack: &Stack, runtime: &Runtime, users: u64, rounds: usize) -> anyhow::Result<Rebuilt> {
    let mut rebuilt = Rebuilt { users, seconds: Vec::new(), copy_seconds: Vec::new(), megabytes: 0.0 };
    let url = stack.address("DATABASE_URL")?;
    for _ in 0..rounds {
        let began = Instant::now();
        let megabytes = most_megabytes(stack.start_verb(&["projection", "rebuild", "--json"])?)?;
        rebuilt.seconds.push(began.elapsed().as_secs_f64());
        rebuilt.megabytes = rebuilt.megabytes.max(megabytes);
        let generation =
            runtime.block_on(number(&url, "SELECT max(id)::bigint FROM rollcall.generations"))?;
        stack.verb(&["projection", "drop", &generation.to_string()])?;
        rebuilt.copy_seconds.push(runtime.block_on(copy::copy(&url))?.as_secs_f64());
    }
    Ok(rebuilt)
}

/// Waits for the end of a process: the most memory that it had.
fn most_megabytes(mut child: Child) -> anyhow::Result<f64> {
    let mut most = 0.0;
    loop {
        most = megabytes(child.id(), "VmHWM:").unwrap_or(most);
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the rebuild failed");
            return Ok(most);
        }
        thread::sleep(LOOK);
    }
}

async fn catch_up(stack: &Stack, records: u64) -> anyhow::Result<CaughtUp> {
    let (url, ids) = (stack.address("DATABASE_URL")?, Arc::new(stack.ids().await?));
    let subject = Subject::service(stack, ids).await?;
    let reads = || load::measure_at(Some(READS), Request::Get, READERS, &subject, TURN);
    let (mut quiet, mut beside): (Vec<Figures>, Vec<Figures>) = Default::default();
    for _ in 0..QUIET_TURNS {
        quiet.push(reads().await?);
    }
    stack.verb(&["projection", "pause"])?;
    let folded = "SELECT sum(next_offset)::bigint FROM live.checkpoints";
    let end = number(&url, folded).await? + i64::try_from(records)?;
    // New users: the numbers above those of the present ones.
    let first = u64::try_from(subject.users.len())?;
    stack.import_with(&["--no-wait"], users::TENANT, (first..first + records).map(users::request))?;
    stack.verb(&["projection", "resume"])?;
    let began = Instant::now();
    while number(&url, folded).await? < end {
        beside.push(reads().await?);
    }
    let seconds = began.elapsed().as_secs_f64();
    let p99 = |all: &[Figures]| table::median(all.iter().map(|figures| figures.p99).collect());
    Ok(CaughtUp { records, seconds, quiet: p99(&quiet), beside: p99(&beside) })
}

async fn number(database_url: &str, sql: &'static str) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(database_url).await?;
    let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(number)
}

impl Rebuilt {
    /// COPY's time as a share of the rebuild's, round by round: the lowest, the median, the
    /// highest.
    fn ratios(&self) -> [f64; 3] {
        let ratio = |(copy, rebuild): (&f64, &f64)| copy / rebuild;
        table::spread(self.copy_seconds.iter().zip(&self.seconds).map(ratio).collect())
    }

    /// The median.
    fn seconds(&self) -> f64 {
        table::median(self.seconds.clone())
    }

    fn events(&self) -> u64 {
        self.users * (1 + UPDATES as u64)
    }
}

impl CaughtUp {
    fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }
}

impl Measured {
    /// How much longer twice as many users take.
    fn growth(&self) -> f64 {
        self.rebuilt.last().map_or(0.0, Rebuilt::seconds) / self.rebuilt.first().map_or(1.0, Rebuilt::seconds)
    }

    /// The rate of the catch-up as a share of the events per second of a rebuild.
    fn share(&self) -> f64 {
        let rebuild = self.rebuilt.last().map_or(1.0, |rebuilt| rebuilt.events() as f64 / rebuilt.seconds());
        self.caught_up.rate() / rebuild
    }
}

/// Prints both rows.
pub(crate) fn print(measured: &Measured) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\nR6 rebuild   target: >= 0.5 x raw copy, <= 256 MB, twice as many users <= 2.1 x")?;
    for rebuilt in &measured.rebuilt {
        let ([low, middle, high], copy) = (rebuilt.ratios(), table::median(rebuilt.copy_seconds.clone()));
        writeln!(
            out,
            "  {:>8} users, {:>8} events   {:>6.1} s   {middle:.2} x raw copy ({low:.2}-{high:.2}), which took {copy:.1} s   {:.0} MB",
            rebuilt.users,
            rebuilt.events(),
            rebuilt.seconds(),
            rebuilt.megabytes
        )?;
    }
    writeln!(out, "  twice as many users: {:.2} x", measured.growth())?;
    let CaughtUp { records, seconds, quiet, beside } = &measured.caught_up;
    writeln!(out, "\nR7 catch-up   target: >= 0.3 x the rate of a rebuild, p99 of reads <= 2 x quiet")?;
    writeln!(
        out,
        "  {records} events in {seconds:.1} s, {:.0}/s: {:.2} x a rebuild   p99 of reads {beside:.1} ms, {:.2} x quiet",
        measured.caught_up.rate(),
        measured.share(),
        beside / quiet
    )?;
    Ok(())
}

/// Keeps both rows as JSON under today's date.
pub(crate) fn keep(measured: &Measured, build: &str, dir: &Path) -> anyhow::Result<()> {
    let sizes: Vec<_> = measured
        .rebuilt
        .iter()
        .map(|rebuilt| {
            json!({ "users": rebuilt.users, "events": rebuilt.events(), "seconds": table::rounded(rebuilt.seconds()),
                "ofRawCopy": rebuilt.ratios().map(table::rounded), "megabytes": rebuilt.megabytes.round() })
        })
        .collect();
    let rebuild = json!({ "sizes": sizes, "twiceAsManyUsers": table::rounded(measured.growth()) });
    let CaughtUp { records, seconds, quiet, beside } = &measured.caught_up;
    let caught_up = json!({ "events": records, "seconds": table::rounded(*seconds), "ofRebuild": table::rounded(measured.share()),
        "p99OfQuiet": table::rounded(beside / quiet) });
    let rows = [(format!("R6 rebuild, {build}"), rebuild), (format!("R7 catch-up, {build}"), caught_up)];
    table::merge(Map::from_iter(rows), dir)
}
