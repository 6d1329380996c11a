//! `rollcall erasure …`: proofs that deleted users are erased.

mod audit;
mod prove;

use clap::Subcommand;
use privacy::erasure::LogScan;

/// Prove that deleted users are erased
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

/// Fails if the beginning of the log is lost, so that it could not be searched.
fn ensure_whole(log: &LogScan, from_cut: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        from_cut || log.cuts.is_empty(),
        "{}, so nothing is proved about it. If its copies are dealt with, repeat the command with --from-cut",
        event_log::describe_cuts(&log.cuts)
    );
    Ok(())
}
