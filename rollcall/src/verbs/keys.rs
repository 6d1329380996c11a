//! `rollcall keys …`: the users' data keys, and the master key that wraps them.

mod bind;
mod groups;
mod rotate_master;
mod status;
mod sweep;

use crate::interrupted::NOTHING;
use clap::Subcommand;

/// Show the users' data keys, rotate the master key, and destroy keys that nobody needs
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Status(status::Args),
    RotateMaster(rotate_master::Args),
    Sweep(sweep::Args),
    Bind(bind::Args),
}

impl Args {
    /// What the verb leaves if it is interrupted.
    pub(crate) fn left(&self) -> String {
        let left = match &self.verb {
            Verb::Status(_) => NOTHING,
            Verb::RotateMaster(_) => {
                "every key can be opened as before. Run `rollcall keys rotate-master` again: it goes on with the rotation"
            }
            Verb::Sweep(args) => args.left(),
            Verb::Bind(args) => args.left(),
        };
        left.to_owned()
    }
}

pub(crate) async fn keys(args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Status(args) => status::status(args).await,
        Verb::RotateMaster(args) => rotate_master::rotate_master(args).await,
        Verb::Sweep(args) => sweep::sweep(args).await,
        Verb::Bind(args) => bind::bind(args).await,
    }
}
