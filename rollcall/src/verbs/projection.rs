//! `rollcall projection …`: the read model and its generations.

mod drop;
mod list;
mod rebuild;
mod status;

use clap::Subcommand;

/// Shows and rebuilds the read model
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    List(list::Args),
    Status(status::Args),
    Rebuild(rebuild::Args),
    Drop(drop::Args),
}

pub(crate) async fn projection(args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::List(args) => list::list(args).await,
        Verb::Status(args) => status::status(args).await,
        Verb::Rebuild(args) => rebuild::rebuild(args).await,
        Verb::Drop(args) => drop::drop(args).await,
    }
}
