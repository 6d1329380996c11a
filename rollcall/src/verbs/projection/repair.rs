//! `rollcall projection repair`

use super::super::{print, screen::Screen, user::User, words::number};
use crate::{interrupted::NOTHING, settings};
use events_schema::UserKey;
use projector::{FoldedUser, Repair};
use serde_json::json;

/// Fold one user again from the log, and replace what differs
///
/// Compares the user's row, search postings, credentials, tombstone, outcomes of events and cached body
/// with the log, and replaces them in one transaction. Reads and writes go on. The projector that owns the
/// user's partition does the work, so projectors must run and must not be paused. Prints the names of the
/// fields that differed, but no values. Exits with 0 if nothing differs, or everything is repaired.
///
/// A deleted user gets the tombstone back and nothing else. If an event can't be opened because the key is
/// missing, nothing is changed. Dead letters that can be folded now take effect, as with `dead-letters
/// retry`; the others stay.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    user: User,
    /// Only compare: exit with 1 if something differs. Works without projectors, and while they are paused
    #[arg(long)]
    check: bool,
    /// Refused: a projection beside the users can't be repaired by user
    #[arg(long, value_name = "NAME", value_parser = refuse, hide = true)]
    projection: Option<String>,
    /// Print JSON lines: {"progress": …} once a second, and {"summary": …} at the end
    #[arg(long)]
    json: bool,
}

/// Which rows depend on a user is known to the author of a projection alone.
fn refuse(name: &str) -> Result<String, String> {
    Err(format!(
        "only users are repaired one by one. Fold the projection again: `rollcall projection rebuild --projection {name} --promote --unverified`"
    ))
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) fn left(&self) -> String {
        if self.check {
            return NOTHING.to_owned();
        }
        let UserKey { tenant, user } = self.user.key();
        format!(
            "a projector may still carry the repair out. `rollcall projection repair --tenant {tenant} --user {user} --check` shows \
             whether anything differs"
        )
    }
}

pub(crate) async fn repair(args: &Args) -> anyhow::Result<()> {
    let (settings, user) = (settings::load()?, args.user.key());
    let mut screen = Screen::new(args.json);
    let show = |progress| screen.show(progress);
    let repair = if args.check {
        projector::check_user(&settings, &user, show).await
    } else {
        projector::repair_user(&settings, &user, show).await
    };
    screen.end();
    let repair = repair?;
    if args.json {
        print(json!({"summary": repair}))?;
    } else {
        print(in_words(&repair, &user))?;
    }
    answer(&repair, &user, args.check)
}

fn in_words(repair: &Repair, user: &UserKey) -> String {
    let (began, fields) = (repair.began_at, repair.differences.join(", "));
    let mut lines = vec![
        format!("user      {user} {}", state(repair)),
        format!(
            "read      partition {}: users.events from offset {}, users.credentials from offset {}; {} of the user",
            repair.partition,
            began.users,
            began.credentials,
            number(repair.records, "record")
        ),
    ];
    if began.fell_back {
        lines.push("          from the beginning, because the user's events do not begin at a later offset that was tried".to_owned());
    }
    if repair.waiting > 0 {
        lines.push(format!(
            "waiting   {} that can't be folded: see `rollcall dead-letters list`",
            number(repair.waiting, "record")
        ));
    }
    lines.push(match (repair.differences.is_empty(), repair.repaired) {
        (true, _) if repair.user == FoldedUser::Unknown && repair.records == 0 => {
            "result    nothing differs: if you expected a user, check tenant and id".to_owned()
        }
        (true, _) if repair.is_key_missing => "result    nothing can be compared".to_owned(),
        (true, _) => "result    nothing differs".to_owned(),
        (false, true) => format!("repaired  {fields}"),
        (false, false) => format!("differs   {fields}"),
    });
    lines.join("\n")
}

/// What the log says about the user.
fn state(repair: &Repair) -> &'static str {
    match repair.user {
        _ if repair.is_key_missing => "can't be read: the data key is missing",
        FoldedUser::Present => "exists according to the log",
        FoldedUser::Deleted => "is deleted according to the log",
        FoldedUser::Unknown if repair.records == 0 => "was never recorded according to the log",
        FoldedUser::Unknown => "was never created according to the log",
    }
}

fn answer(repair: &Repair, user: &UserKey, is_check: bool) -> anyhow::Result<()> {
    if let Some(refused) = &repair.refused {
        anyhow::bail!("nothing was changed: {refused}");
    }
    let UserKey { tenant, user } = user;
    anyhow::ensure!(
        !repair.is_key_missing || repair.repaired,
        "nothing was changed: the data key of this user is missing. Restore the key store from its backup, then run `rollcall \
         dead-letters retry --user {user} --tenant {tenant}`. If the user was deleted, discard the dead letters instead"
    );
    let differs = !repair.differences.is_empty() && !repair.repaired;
    anyhow::ensure!(
        !(differs && is_check),
        "the read model differs from the log: repeat this without --check"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use projector::Beginning;

    fn repair(is_key_missing: bool) -> Repair {
        Repair {
            user: FoldedUser::Unknown,
            partition: 0,
            began_at: Beginning { users: 0, credentials: 0, fell_back: false },
            is_key_missing,
            records: 2,
            differences: Vec::new(),
            waiting: 2,
            repaired: false,
            refused: None,
        }
    }

    #[test]
    fn a_user_without_a_key_is_not_called_uncreated() {
        let user: UserKey = "acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba".parse().unwrap();
        let said = in_words(&repair(true), &user);
        assert!(said.contains("the data key is missing") && !said.contains("never created"), "{said}");
        let next = answer(&repair(true), &user, true).unwrap_err().to_string();
        assert!(
            next.contains("Restore the key store") && next.contains("dead-letters retry --user 0c3fad74"),
            "{next}"
        );
        assert!(in_words(&repair(false), &user).contains("was never created according to the log"));
        assert!(answer(&repair(false), &user, true).is_ok());
    }
}
