//! `rollcall dead-letters retry` and `discard`: asked of the projector that owns the partition.

use super::{super::print, User};
use crate::settings;
use events_schema::ReasonCode;
use projector::{Kind, LetterId, Outcome, What};

/// Folds records again, each with all that waits behind it, in the order of the log
///
/// What can be folded now has its effect. The first that still can't be stays, and all behind it: exit 1.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["ids", "user"]))]
pub(crate) struct Retry {
    /// Any of a queue, as `dead-letters list` shows them
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,
    #[command(flatten)]
    user: User,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Takes the effect of records, now and in every rebuild, and folds what waits behind them
///
/// Nothing is done where one of the IDs is wrong. A record that can't be read and is no dead letter any more, since its user is deleted, may be
/// discarded too: that says to `erasure prove` and `audit` that it is dealt with.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["ids", "reason"]))]
pub(crate) struct Discard {
    /// As `dead-letters list` shows them
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,
    /// All that are set aside for this reason, as `dead-letters list` shows it
    #[arg(long, value_name = "CODE")]
    reason: Option<ReasonCode>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn retry(args: &Retry) -> anyhow::Result<()> {
    let what = args.user.filter().map_or_else(|| What::Letters(args.ids.clone()), What::User);
    let outcome = projector::ask(&settings::completed()?, Kind::Retry, &what).await?;
    tell(&outcome, args.json)?;
    match &outcome.detail {
        None => Ok(()),
        Some(detail) => anyhow::bail!("the first that is left still can't be folded: {detail}"),
    }
}

pub(crate) async fn discard(args: &Discard) -> anyhow::Result<()> {
    let what = args.reason.map_or_else(|| What::Letters(args.ids.clone()), What::Reason);
    let outcome = projector::ask(&settings::completed()?, Kind::Discard, &what).await?;
    tell(&outcome, args.json)
}

fn tell(outcome: &Outcome, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print(serde_json::to_string(outcome)?);
    }
    let Outcome { settled, left, detail, .. } = outcome;
    match detail {
        None => print(format_args!("{settled} settled, none left")),
        Some(detail) => print(format_args!("{settled} settled, {left} left: {detail}")),
    }
}
