//! `rollcall dead-letters retry` and `discard`. The projector that owns the partition does the work.

use super::{
    super::{print, words::number},
    User,
};
use crate::settings;
use events_schema::ReasonCode;
use projector::{Kind, LetterId, Outcome, Selection};

/// Fold dead letters again, each with the records queued behind it
///
/// Records that can be folded now take effect, in the order of the log. The first one that still can't
/// be folded stays, with everything behind it; the exit code is then 1.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["ids", "user"]))]
pub(crate) struct Retry {
    /// Any dead letter of a queue, as `dead-letters list` shows it
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,
    #[command(flatten)]
    user: User,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Skip records permanently, in rebuilds too, and fold what is queued behind them
///
/// If one of the ids is wrong, nothing is changed. An unreadable record that is no dead letter any more,
/// because its user was deleted, can be discarded too: `erasure prove` and `erasure audit` then count it
/// as dealt with.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["ids", "reason"]))]
pub(crate) struct Discard {
    /// Dead letters, as `dead-letters list` shows them
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,
    /// All dead letters with this reason, as `dead-letters list` shows it
    #[arg(long, value_name = "CODE")]
    reason: Option<ReasonCode>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn retry(args: &Retry) -> anyhow::Result<()> {
    let selection = args.user.filter().map_or_else(|| Selection::Letters(args.ids.clone()), Selection::User);
    let outcome = projector::resolve_dead_letters(&settings::load()?, Kind::Retry, &selection).await?;
    report(&outcome, args.json)?;
    match &outcome.detail {
        None => Ok(()),
        Some(detail) => anyhow::bail!("the first remaining dead letter still can't be folded: {detail}"),
    }
}

pub(crate) async fn discard(args: &Discard) -> anyhow::Result<()> {
    let selection = args.reason.map_or_else(|| Selection::Letters(args.ids.clone()), Selection::Reason);
    let outcome = projector::resolve_dead_letters(&settings::load()?, Kind::Discard, &selection).await?;
    report(&outcome, args.json)
}

fn report(outcome: &Outcome, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print(serde_json::to_string(outcome)?);
    }
    print(in_words(outcome))
}

fn in_words(outcome: &Outcome) -> String {
    let settled = number(outcome.settled, "dead letter");
    match &outcome.detail {
        None => format!("{settled} settled, nothing left of what was named"),
        Some(detail) => {
            let left = number(outcome.left, "dead letter");
            format!("{settled} settled, {left} of the same queue left: {detail}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_has_a_unit() {
        let outcome = |left, detail: Option<&str>| Outcome {
            settled: 1,
            left,
            reason: None,
            detail: detail.map(str::to_owned),
        };
        let left = in_words(&outcome(2, Some("bad")));
        assert_eq!(left, "1 dead letter settled, 2 dead letters of the same queue left: bad");
        let nothing = in_words(&outcome(0, None));
        assert_eq!(nothing, "1 dead letter settled, nothing left of what was named");
    }
}
