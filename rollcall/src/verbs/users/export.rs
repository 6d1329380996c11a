//! `rollcall users export`

use super::super::{new_file, print, screen::Screen, user::User};
use crate::{local::progress::say, settings};
use anyhow::Context as _;
use privacy::Export;
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf};

/// Prints everything that is kept on a user as one JSON object: the right of access
///
/// The present state, all events in clear, credentials, dead letters, analytic events, and the id of the key. Of an erased user that is the
/// tombstone, and events that nobody can read. Exit 1 for a user of whom nothing was ever heard, and for an export that is not complete:
/// "complete" is false in it, since events of a living user could not be opened.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    user: User,
    /// Writes it to a new file that only its owner may read, as a whole or not at all; one that is there is never overwritten
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the end: the export, or the name of its file
    #[arg(long)]
    json: bool,
}

pub(crate) async fn export(args: &Args) -> anyhow::Result<()> {
    let (mut screen, user) = (Screen::new(args.json), args.user.key());
    let settings = settings::completed()?;
    args.output.as_deref().map_or(Ok(()), new_file::look)?;
    let export = privacy::export(&settings, &user, |progress| screen.show(progress)).await;
    screen.end();
    let export = export?.with_context(|| format!("nothing was ever heard of the user {user}"))?;
    give(args, &export)?;
    match export.unread() {
        None => Ok(()),
        Some(unread) => anyhow::bail!("the export is not complete: {unread}"),
    }
}

fn give(args: &Args, export: &Export) -> anyhow::Result<()> {
    let object = serde_json::to_string_pretty(export)?;
    match &args.output {
        None => {
            say("rollcall: this holds personal data");
            if !args.json {
                return print(object);
            }
            print(serde_json::to_string(&BTreeMap::from([("summary", export)]))?)
        }
        Some(file) => {
            new_file::write(file, &object)?;
            say(format_args!("rollcall: {} holds personal data", file.display()));
            if !args.json {
                return Ok(());
            }
            let file = file.display().to_string();
            print(json!({"summary": {"file": file, "complete": export.complete}}))
        }
    }
}
