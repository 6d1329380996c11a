//! `rollcall projection pause`

use super::{super::print, further::Name};
use crate::{local::progress::say, settings};
use anyhow::Context as _;
use projector::Paused;
use std::time::Duration;

/// Stop all folding until `projection resume`, across restarts
///
/// Returns when no projector folds any more. With --projection, only that projection is paused. If
/// folding is already paused, it succeeds and says since when.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    name: Name,
    /// The reason that health checks and `projection status` show
    #[arg(long, default_value = "an operator paused it")]
    reason: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) fn left(&self) -> String {
        left(&self.name)
    }
}

/// What an interrupted `pause` or `resume` leaves.
pub(super) fn left(name: &Name) -> String {
    format!("`rollcall projection status{}` shows whether folding is paused", name.option())
}

/// After this time a message says what the command is waiting for.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn pause(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let mut pausing = Box::pin(async {
        match &args.name.projection {
            None => projector::pause(&settings, &args.reason).await,
            Some(name) => projector::projections::pause(&settings, name, &args.reason).await,
        }
    });
    let paused = match tokio::time::timeout(PATIENCE, &mut pausing).await {
        Ok(paused) => paused,
        Err(_) => {
            say("waiting for what is being committed …");
            pausing.await
        }
    };
    let paused = paused?.context("another operator resumed the projectors at the same time")?;
    if args.json {
        return print(serde_json::to_string(&paused)?);
    }
    let Paused { paused, already } = paused;
    let words = super::in_words(&paused);
    if already {
        print(format_args!("already {words}"))?
    } else {
        print(words)?
    }
    match &args.name.projection {
        None => print(
            "nothing is folded now: writes are stored and answered with 202, and the service is not ready. `rollcall projection resume` \
             ends it",
        ),
        Some(name) => print(format_args!(
            "its answers stay as they are. `rollcall projection resume --projection {name}` ends it"
        )),
    }
}
