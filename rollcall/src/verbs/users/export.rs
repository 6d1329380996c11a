//! `rollcall users export`

use super::super::{new_file, print, screen::Screen, user::User};
use crate::{local::progress::say, settings};
use anyhow::Context as _;
use privacy::Export;
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf};

/// Print everything that is stored about a user as one JSON object
///
/// This implements the right of access. The object has the current user, all events in plain text,
/// credentials, dead letters, analytic events, and the id of the key. For an erased user it has the
/// tombstone and unreadable events. Exits with 1 if no such user was ever recorded, or if events of a
/// living user could not be opened; "complete" is then false.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    user: User,
    /// Write to a new file that only its owner can read. An existing file is never overwritten
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON lines: {"progress": …} once a second and at each step, and {"summary": …} at the
    /// end, with the export or the name of its file
    #[arg(long)]
    json: bool,
}

pub(crate) async fn export(args: &Args) -> anyhow::Result<()> {
    let (mut screen, user) = (Screen::new(args.json), args.user.key());
    let settings = settings::load()?;
    args.output.as_deref().map_or(Ok(()), new_file::check)?;
    let export = privacy::export(&settings, &user, |progress| screen.show(progress)).await;
    screen.end();
    let export = export?.with_context(|| format!("no such user was ever recorded: {user}"))?;
    print_or_write(args, &export)?;
    match export.unread() {
        None => Ok(()),
        Some(unread) => anyhow::bail!("the export is not complete: {unread}"),
    }
}

fn print_or_write(args: &Args, export: &Export) -> anyhow::Result<()> {
    let object = serde_json::to_string_pretty(export)?;
    match &args.output {
        None => {
            say("rollcall: this contains personal data");
            if !args.json {
                return print(object);
            }
            print(serde_json::to_string(&BTreeMap::from([("summary", export)]))?)
        }
        Some(file) => {
            new_file::write(file, &object)?;
            say(format_args!("rollcall: {} contains personal data", file.display()));
            if !args.json {
                return Ok(());
            }
            let file = file.display().to_string();
            print(json!({"summary": {"file": file, "complete": export.complete}}))
        }
    }
}
