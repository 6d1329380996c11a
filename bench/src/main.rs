//! `make bench`: compares builds of the service on this machine in one run.
//!
//! It measures GET by id, and PUT until the effect is visible.

mod client;
mod cpu;
mod load;
mod stack;
mod table;

use anyhow::Context as _;
use clap::Parser;
use load::{Figures, Row};
use stack::Stack;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Compare builds of the service in alternating rounds
#[derive(Parser)]
struct Args {
    /// A build: its name, its directory of programs, and its settings. The first one is the
    /// baseline
    #[arg(long = "build", value_name = "NAME=DIR[,SETTING=VALUE…]", value_parser = build, required = true)]
    builds: Vec<Build>,
    /// Users in each stack
    #[arg(long, default_value_t = 20_000)]
    users: u32,
    /// Only the rows whose names start with this
    #[arg(long = "row", value_name = "R1|R4|R5")]
    rows: Vec<String>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Measurements of each row and build
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Directory of the results
    #[arg(long)]
    results: Option<PathBuf>,
}

impl Args {
    fn is_wanted(&self, row: Row) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|name| row.name().starts_with(name.as_str()))
    }
}

/// The subjects of the benchmark.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) settings: Vec<(String, String)>,
}

fn build(text: &str) -> Result<Build, &'static str> {
    let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut parts = text.split(',').map(|part| pair(part).ok_or("must be NAME=DIR[,SETTING=VALUE…]"));
    let (name, dir) = parts.next().ok_or("must not be empty")??;
    Ok(Build { name, dir: dir.into(), settings: parts.collect::<Result<_, _>>()? })
}

/// All measurements, by row and build.
pub(crate) type All = BTreeMap<Row, BTreeMap<String, Vec<Figures>>>;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stacks = Vec::new();
    for build in &args.builds {
        stacks.push(Stack::start(build, args.users, &runtime)?);
    }
    let all = runtime.block_on(measure(&args, &stacks))?;
    stacks.into_iter().try_for_each(Stack::stop)?;
    let first = &args.builds.first().context("a build")?.name;
    table::print(&all, first)?;
    if let Some(dir) = &args.results {
        table::keep(&all, first, args.users, dir)?;
    }
    Ok(())
}

/// All stacks run at the same time and take turns, so that changes of the machine affect all of
/// them.
async fn measure(args: &Args, stacks: &[Stack]) -> anyhow::Result<All> {
    let mut all = All::new();
    let length = Duration::from_secs(args.seconds);
    for round in 0..=args.rounds {
        for row in Row::ALL.into_iter().filter(|row| args.is_wanted(*row)) {
            for n in 0..stacks.len() {
                // The order changes from round to round.
                let stack = &stacks[if round % 2 == 0 { n } else { stacks.len() - 1 - n }];
                let figures = load::measure(row, stack, length).await?;
                // The first round is a warm-up.
                if round > 0 {
                    all.entry(row).or_default().entry(stack.name.clone()).or_default().push(figures);
                }
            }
        }
    }
    Ok(all)
}
