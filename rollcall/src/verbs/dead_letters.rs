//! `rollcall dead-letters …`: records that could not be folded, and records queued behind them.

mod list;
mod resolve;
mod show;

use crate::interrupted::NOTHING;
use clap::Subcommand;
use events_schema::TenantId;
use projector::UserFilter;
use uuid::Uuid;

/// Show, retry and discard records that could not be folded
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    List(list::Args),
    Show(show::Args),
    Retry(resolve::Retry),
    Discard(resolve::Discard),
}

impl Args {
    /// What the verb leaves if it is interrupted.
    pub(crate) fn left(&self) -> String {
        let left = match &self.verb {
            Verb::List(_) | Verb::Show(_) => NOTHING,
            Verb::Retry(_) | Verb::Discard(_) => {
                "projectors still carry out what was requested already. `rollcall dead-letters list` shows what is left"
            }
        };
        left.to_owned()
    }
}

pub(crate) async fn dead_letters(args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        Verb::List(args) => list::list(args).await,
        Verb::Show(args) => show::show(args).await,
        Verb::Retry(args) => resolve::retry(args).await,
        Verb::Discard(args) => resolve::discard(args).await,
    }
}

/// An optional user.
#[derive(clap::Args)]
struct User {
    /// The user
    #[arg(long)]
    user: Option<Uuid>,
    /// The user's tenant, if several tenants have a user with that id
    #[arg(long, requires = "user", value_parser = tenant)]
    tenant: Option<TenantId>,
}

impl User {
    fn filter(&self) -> Option<UserFilter> {
        Some(UserFilter { tenant: self.tenant.clone(), user: self.user? })
    }
}

fn tenant(text: &str) -> Result<TenantId, events_schema::InvalidTenant> {
    text.parse()
}
