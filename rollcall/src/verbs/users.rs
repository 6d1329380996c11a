//! `rollcall users …`: what is stored about users.

mod export;

use clap::Subcommand;

/// Export what is stored about a user
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Export(export::Args),
}

pub(crate) async fn users(args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Export(args) => export::export(args).await,
    }
}
