//! `rollcall dead-letters retry` and `discard`: asked of the projector that owns the partition.

use super::{super::print, User};
use crate::settings;
use projector::{Kind, LetterId, Outcome, What};

/// Folds the whole queue of a user again, in the order of the log
///
/// What can be folded now has its effect. The first that still can't be stays, and all behind it: exit 1.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["id", "user"]))]
pub(crate) struct Retry {
    /// Any one of the queue, as `dead-letters list` shows it
    #[arg(value_name = "ID")]
    id: Option<LetterId>,
    #[command(flatten)]
    user: User,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Takes the effect of a record, now and in every rebuild, and folds what waits behind it
#[derive(clap::Args)]
pub(crate) struct Discard {
    /// As `dead-letters list` shows it
    #[arg(value_name = "ID")]
    id: LetterId,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn retry(args: &Retry) -> anyhow::Result<()> {
    let user = args.user.filter().map(What::User);
    let Some(what) = args.id.map(What::Letter).or(user) else { anyhow::bail!("an ID or --user is needed") };
    let outcome = projector::ask(&settings::completed()?, Kind::Retry, &what).await?;
    tell(&outcome, args.json)?;
    match &outcome.detail {
        None => Ok(()),
        Some(detail) => anyhow::bail!("the first that is left still can't be folded: {detail}"),
    }
}

pub(crate) async fn discard(args: &Discard) -> anyhow::Result<()> {
    let outcome = projector::ask(&settings::completed()?, Kind::Discard, &What::Letter(args.id)).await?;
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
