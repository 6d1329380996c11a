//! `make bench`: figures of this machine, as ratios within one run.
//!
//! The service is measured in turns with its twins, with what its servers can do alone, and with
//! other builds of itself.

mod client;
mod cpu;
mod load;
mod raw;
mod rebuild;
mod row;
mod search;
mod stack;
mod subject;
mod table;
mod twin;
mod users;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use load::Figures;
use raw::{Call, Raw};
use row::Row;
use stack::Stack;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use subject::Subject;
use twin::Kind;

/// Measures builds of the service against each other and against twins, in alternating rounds
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    twin: Option<Twin>,
    /// A build: its name, its directory of programs, and settings of its own. The twins and the raw
    /// figures use the servers of the first
    #[arg(long = "build", value_name = "NAME=DIR[,SETTING=VALUE…]", value_parser = build)]
    builds: Vec<Build>,
    /// Users in each stack
    #[arg(long, default_value_t = 20_000)]
    users: u32,
    /// Users of the large tenant of R3
    #[arg(long, default_value_t = 1_000_000)]
    search_users: u32,
    /// Users of R6, which measures twice as many too
    #[arg(long, default_value_t = 50_000)]
    rebuild_users: u32,
    /// Only these rows, by what their names begin with. R6 includes R7
    #[arg(long = "row", value_name = "R1|R2|R3|R4|R5|R6|R8")]
    rows: Vec<String>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Measurements of each row and subject, in turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load before the first measurement: a JVM needs about a minute
    #[arg(long, default_value_t = 60)]
    warm_up: u64,
    /// Leaves the twins and the raw figures out
    #[arg(long)]
    no_twins: bool,
    /// Where the figures are kept
    #[arg(long)]
    results: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Twin {
    /// Serves a twin
    Twin {
        /// Which
        kind: Kind,
        /// Where it listens
        #[arg(long)]
        addr: SocketAddr,
    },
}

/// A build of the service.
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

/// Every measurement, by row (in the order of [`row::ALL`]) and by subject.
pub(crate) type All = BTreeMap<usize, BTreeMap<String, Vec<Figures>>>;

/// Figures of a build that are no rate.
pub(crate) struct Resources {
    pub(crate) idle_megabytes: f64,
    pub(crate) loaded_megabytes: f64,
    pub(crate) restart_seconds: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(Twin::Twin { kind, addr }) = args.twin {
        return actix_web::rt::System::new().block_on(twin::serve(kind, addr));
    }
    anyhow::ensure!(!args.builds.is_empty(), "--build: which build is measured?");
    if args.rows.iter().any(|row| row != "R3" && row != "R6") || args.rows.is_empty() {
        rows(&args)?;
    }
    if args.has_row("R3") {
        // Of another build, one search may take seconds.
        for build in args.builds.iter().take(1) {
            let lines = search::measure(build, args.search_users, args.rounds)?;
            search::print(&lines)?;
            if let Some(dir) = &args.results {
                search::keep(&lines, &build.name, args.search_users, dir)?;
            }
        }
    }
    if args.has_row("R6") {
        for build in &args.builds {
            let measured = rebuild::measure(build, args.rebuild_users, args.rounds.min(3))?;
            rebuild::print(&measured)?;
            if let Some(dir) = &args.results {
                rebuild::keep(&measured, &build.name, dir)?;
            }
        }
    }
    Ok(())
}

impl Args {
    fn has_row(&self, name: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| name.starts_with(row.as_str()))
    }

    /// Whether a row compares the service with this twin.
    fn uses(&self, kind: Kind) -> bool {
        row::ALL.iter().any(|row| self.has_row(row.name) && row.twins.contains(&kind))
    }
}

/// Measures the rows of [`row::ALL`] in all builds, in turns.
fn rows(args: &Args) -> anyhow::Result<()> {
    let mut stacks = Vec::new();
    for build in &args.builds {
        stacks.push(Stack::start(build, args.users)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all = runtime.block_on(run(args, &stacks))?;
    let mut resources = BTreeMap::new();
    for stack in &mut stacks {
        let loaded_megabytes = stack.resident_megabytes()?;
        let restart_seconds = stack.restart()?.as_secs_f64();
        std::thread::sleep(Duration::from_secs(5));
        let idle_megabytes = stack.resident_megabytes()?;
        resources.insert(stack.name.clone(), Resources { idle_megabytes, loaded_megabytes, restart_seconds });
    }
    stacks.into_iter().try_for_each(Stack::stop)?;
    table::print(&all, &resources)?;
    if let Some(dir) = &args.results {
        table::keep(&all, &resources, args.users, dir)?;
    }
    Ok(())
}

/// One measurement of a row.
enum Measured<'m> {
    Subject(&'m Subject),
    Raw(&'m Raw, Call),
}

/// All rows, round by round. All subjects are up and take turns, so that what the machine does
/// meanwhile it does to all of them.
async fn run(args: &Args, stacks: &[Stack]) -> anyhow::Result<All> {
    let mut subjects = Vec::new();
    for stack in stacks {
        subjects.push(Subject::service(stack, Arc::new(stack.ids().await?)).await?);
    }
    let (stack, users) = (stacks.first().context("a build")?, subjects[0].users.clone());
    let (mut twins, mut raw) = (Vec::new(), None);
    if !args.no_twins {
        let servers = Raw::open(stack, users.clone()).await?;
        twin::copy_table(&servers.database_url).await?;
        for kind in Kind::ALL.into_iter().filter(|kind| args.uses(*kind)) {
            twins.push(Subject::twin(kind, stack, users.clone()).await?);
        }
        raw = Some(servers);
    }
    for subject in &subjects {
        load::measure(load::Request::Put, 64, subject, Duration::from_secs(args.warm_up)).await?;
    }
    let mut all = All::new();
    for round in 0..=args.rounds {
        for (n, row) in row::ALL.iter().enumerate() {
            if !args.has_row(row.name) {
                continue;
            }
            let mut turns = turns(row, &subjects, &twins, raw.as_ref());
            // The first of one round is the last of the next.
            if round % 2 == 1 {
                turns.reverse();
            }
            for (name, measured) in turns {
                let length = Duration::from_secs(args.seconds);
                let figures = match measured {
                    Measured::Subject(subject) => {
                        load::measure(row.request, row.connections, subject, length).await?
                    }
                    Measured::Raw(raw, call) => raw.measure(call, row.connections, length).await?,
                };
                // The first round only warms up.
                if round > 0 {
                    all.entry(n).or_default().entry(name).or_default().push(figures);
                }
            }
        }
    }
    Ok(all)
}

fn turns<'m>(
    row: &Row,
    subjects: &'m [Subject],
    twins: &'m [Subject],
    raw: Option<&'m Raw>,
) -> Vec<(String, Measured<'m>)> {
    let twins = twins.iter().filter(|twin| row.twins.iter().any(|kind| kind.name() == twin.name));
    let served =
        subjects.iter().chain(twins).map(|subject| (subject.name.clone(), Measured::Subject(subject)));
    let calls = row.raw.iter().filter_map(|call| {
        let name = format!("raw {}", format!("{call:?}").to_lowercase());
        Some((name, Measured::Raw(raw?, *call)))
    });
    served.chain(calls).collect()
}
