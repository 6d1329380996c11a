//! `rollcall log …`: imports into the log, reads and copies of it.

mod copy;
mod import;
mod reader;
mod stats;
mod summary;
mod tail;

use clap::Subcommand;

/// Import into the log, show its content, and copy it
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Import(import::Args),
    Copy(copy::Args),
    Tail(tail::Args),
    Stats(stats::Args),
}

pub(crate) async fn log(args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Import(args) => import::import(args).await,
        Verb::Copy(args) => copy::copy(args).await,
        Verb::Tail(args) => tail::tail(args).await,
        Verb::Stats(args) => stats::stats(args).await,
    }
}
