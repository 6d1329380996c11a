//! `rollcall log …`: imports into the log, reads and copies of it.

mod copy;
mod import;
mod reader;
mod stats;
mod summary;
mod tail;

use crate::interrupted::NOTHING;
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

impl Args {
    /// What the verb leaves if it is interrupted. `None`: it stops by itself.
    pub(crate) fn left(&self) -> Option<String> {
        match &self.verb {
            Verb::Import(_) => Some(import::LEFT.to_owned()),
            Verb::Copy(args) => Some(args.left()),
            Verb::Stats(_) => Some(NOTHING.to_owned()),
            Verb::Tail(_) => None,
        }
    }
}

pub(crate) async fn log(args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Import(args) => import::import(args).await,
        Verb::Copy(args) => copy::copy(args).await,
        Verb::Tail(args) => tail::tail(args).await,
        Verb::Stats(args) => stats::stats(args).await,
    }
}
