//! `rollcall keys sweep`

use super::{
    super::{print, words::number},
    groups,
};
use crate::{interrupted::NOTHING, settings};
use privacy::{Destroyed, Swept, Undecided, UndecidedKey, UndecidedReason};
use service_kit::settings::Settings;
use std::{collections::BTreeSet, time::Duration};
use time::OffsetDateTime;

/// Destroy keys that nobody needs: those of deleted users, and those of creates that never happened
///
/// The projector does the same every few hours. A key is destroyed only with a proof that it was made
/// for the present log and this deployment, and that nothing names its user. All other keys are
/// undecided and stay: `rollcall keys status --undecided` lists them, and --undecided --yes destroys
/// them. Living users whose key is missing are counted too: `rollcall erasure audit` lists them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keep keys that were requested less than TIME ago, such as 10m, 24h or 7d; at least 10m. Applies to
    /// --undecided too
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = age)]
    older_than: Duration,
    /// List the undecided keys instead of sweeping. With --yes, destroy them: whatever is sealed under
    /// them is lost for good
    #[arg(long)]
    undecided: bool,
    /// Only keys that are undecided for this reason. Can be repeated
    #[arg(long, value_name = "REASON", requires = "undecided")]
    reason: Vec<UndecidedReason>,
    /// Destroy the undecided keys
    #[arg(long, requires = "undecided")]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A key of a create that is still on its way is more recent than this.
const MIN_AGE: Duration = Duration::from_secs(10 * 60);
const MAX_AGE: Duration = Duration::from_secs(3_650 * 24 * 3_600);

fn age(text: &str) -> Result<Duration, &'static str> {
    let wanted = "expected a number with a unit, such as 10m, 24h or 7d";
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(wanted)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        _ => return Err(wanted),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds)).ok_or(wanted)?;
    match Duration::from_secs(seconds) {
        age if age < MIN_AGE => {
            Err("must be at least 10m: a more recent key may belong to a create that is on its way")
        }
        age if age > MAX_AGE => Err("must be at most 3650d"),
        age => Ok(age),
    }
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) const fn left(&self) -> &'static str {
        if self.undecided && !self.yes {
            return NOTHING;
        }
        "keys that were destroyed stay destroyed, and the others stay. Run the same command again"
    }
}

pub(crate) async fn sweep(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    if args.undecided {
        return undecided(args, &settings).await;
    }
    let swept = privacy::sweep(&settings, args.older_than).await?;
    if args.json {
        return print(serde_json::to_string(&swept)?);
    }
    let Swept { keys, outlived, orphans, undecided, without_key, .. } = swept;
    print(format_args!(
        "{} checked: {outlived} of deleted users and {} destroyed, {undecided} undecided and kept; {} whose key is missing",
        number(keys, "key"),
        number(orphans, "orphan"),
        number(without_key, "living user")
    ))
}

async fn undecided(args: &Args, settings: &Settings) -> anyhow::Result<()> {
    let lasting = || UndecidedReason::ALL.into_iter().filter(|reason| !reason.is_temporary());
    let reasons: BTreeSet<UndecidedReason> =
        if args.reason.is_empty() { lasting().collect() } else { args.reason.iter().copied().collect() };
    if args.yes { destroy(args, settings, &reasons).await } else { list(args, settings, &reasons).await }
}

async fn destroy(
    args: &Args,
    settings: &Settings,
    reasons: &BTreeSet<UndecidedReason>,
) -> anyhow::Result<()> {
    let Destroyed { gone, too_recent } =
        privacy::destroy_undecided(settings, reasons, args.older_than).await?;
    print_keys(args, &gone, "destroyed")?;
    anyhow::ensure!(
        too_recent == 0,
        "{too_recent} more keys stay, because they were requested less than --older-than ago and a write that uses one may be on \
         its way. Repeat the command later, or with a shorter --older-than (at least 10m)"
    );
    Ok(())
}

async fn list(args: &Args, settings: &Settings, reasons: &BTreeSet<UndecidedReason>) -> anyhow::Result<()> {
    let (mut too_recent, since) = (0, OffsetDateTime::now_utc() - args.older_than);
    let count = |key: UndecidedKey| {
        too_recent += u64::from(reasons.contains(&key.reason) && key.asked_at >= since);
    };
    let mut found = privacy::undecided(settings, args.older_than, count).await?;
    found.groups.retain(|group| reasons.contains(&group.reason));
    found.keys = found.groups.iter().map(|group| group.keys).sum();
    print_keys(args, &found, "undecided")?;
    if too_recent > 0 {
        tracing::warn!(
            "{too_recent} of them stay even with --yes, because they were requested less than --older-than ago. Wait, or set a \
             shorter --older-than (at least 10m)"
        );
    }
    anyhow::ensure!(
        found.keys == 0,
        "nothing was destroyed. --yes destroys these keys, and whatever is sealed under them can never be read again: in former \
         logs and their backups, in logs of other deployments, in generations of such logs, and in dead letters. If any of these may \
         come back, take a backup of the key store first"
    );
    Ok(())
}

fn print_keys(args: &Args, keys: &Undecided, what: &str) -> anyhow::Result<()> {
    if args.json {
        return print(serde_json::to_string(keys)?);
    }
    let table = if keys.keys > 0 { format!("{}\n", groups::table(&keys.groups)) } else { String::new() };
    print(format_args!("{table}{} {what}", number(keys.keys, "key")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit_and_bounds() {
        let seconds = |text| age(text).map(|age| age.as_secs());
        assert_eq!((seconds("600s"), seconds("10m")), (Ok(600), Ok(600)));
        assert_eq!((seconds("24h"), seconds("7d")), (Ok(86_400), Ok(604_800)));
        for bad in ["", "24", "h", "9m", "0s", "-1h", "1.5h", "4000d", "99999999999999999999d", "1w"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }
}
