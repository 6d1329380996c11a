//! `rollcall erasure …`: whether deletes did what they promise.

mod audit;
mod prove;

use clap::Subcommand;

/// Proves that deleted users are erased
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Prove(prove::Args),
    Audit(audit::Args),
}

pub(crate) async fn erasure(args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Prove(args) => prove::prove(args).await,
        Verb::Audit(args) => audit::audit(args).await,
    }
}

/// So many partitions of each topic, in words.
fn partitions(count: usize) -> String {
    if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") }
}
