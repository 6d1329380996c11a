//! `rollcall users …`: what is kept on users.

mod export;

use clap::Subcommand;

/// Shows what is kept on a user
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
