//! `rollcall projection …`: the read model and its generations.

mod accept_cut;
mod drop;
mod further;
mod list;
mod pause;
mod promote;
mod rebuild;
mod repair;
mod resume;
mod status;
mod verify;

use crate::interrupted::NOTHING;
use clap::Subcommand;
use events_schema::millis;
use projector::Pause;

/// Show, rebuild, verify, promote, pause and resume the users and other projections
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
    Verify(verify::Args),
    Promote(promote::PromoteArgs),
    Rollback(promote::RollbackArgs),
    Repair(repair::Args),
    Drop(drop::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Query(further::query::Args),
    AcceptCut(accept_cut::Args),
}

impl Args {
    /// What the verb leaves if it is interrupted.
    pub(crate) fn left(&self) -> String {
        match &self.verb {
            Verb::List(_) | Verb::Status(_) | Verb::Query(_) => NOTHING.to_owned(),
            Verb::Rebuild(args) => args.left(),
            Verb::Verify(args) => args.left(),
            Verb::Promote(args) => args.common.left(),
            Verb::Rollback(args) => args.common.left(),
            Verb::Repair(args) => args.left(),
            Verb::Drop(args) => args.left(),
            Verb::Pause(args) => args.left(),
            Verb::Resume(args) => args.left(),
            Verb::AcceptCut(args) => args.left(),
        }
    }
}

pub(crate) async fn projection(args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::List(args) => list::list(args).await,
        Verb::Status(args) => status::status(args).await,
        Verb::Rebuild(args) => rebuild::rebuild(args).await,
        Verb::Verify(args) => verify::verify(args).await,
        Verb::Promote(args) => promote::promote(args).await,
        Verb::Rollback(args) => promote::rollback(args).await,
        Verb::Repair(args) => repair::repair(args).await,
        Verb::Drop(args) => drop::drop(args).await,
        Verb::Pause(args) => pause::pause(args).await,
        Verb::Resume(args) => resume::resume(args).await,
        Verb::Query(args) => further::query::query(args).await,
        Verb::AcceptCut(args) => accept_cut::accept_cut(args).await,
    }
}

/// A pause, in one line.
fn in_words(pause: &Pause) -> String {
    format!("paused since {} by {}: {}", millis(pause.since), pause.by, pause.reason)
}
