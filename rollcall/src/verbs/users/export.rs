//! `rollcall users export`

use super::super::{print, screen::Screen, user::User};
use crate::settings;
use anyhow::Context as _;
use std::io::{Write as _, stderr};

/// Prints everything that is kept on a user as one JSON object: the right of access
///
/// The present state, all events in clear, credentials, dead letters, analytic events, and the id of the key. Of an erased user that is the
/// tombstone, and events that nobody can read. Exit 1 for a user of whom nothing was ever heard.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    user: User,
}

pub(crate) async fn export(args: &Args) -> anyhow::Result<()> {
    let (mut screen, user) = (Screen::new(false), args.user.key());
    let settings = settings::completed()?;
    let export = projector::export(&settings, &user, |progress| screen.show(progress)).await;
    screen.end();
    let export = export?.with_context(|| format!("nothing was ever heard of the user {user}"))?;
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(stderr(), "rollcall: this holds personal data");
    print(serde_json::to_string_pretty(&export)?)
}
