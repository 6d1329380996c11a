//! `rollcall projection pause`

use super::super::print;
use crate::{local::progress::say, settings};
use anyhow::Context as _;
use projector::Paused;
use std::time::Duration;

/// Stops all folding, until `projection resume`; restarts don't end it
///
/// Returns when nothing more is folded by any projector. Succeeds when that is so already, and says since when.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What health checks and `projection status` say
    #[arg(long, default_value = "an operator paused it")]
    reason: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// After so long a person is told what it waits for.
const SOON: Duration = Duration::from_secs(1);

pub(crate) async fn pause(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let mut pausing = Box::pin(projector::pause(&settings, &args.reason));
    let paused = match tokio::time::timeout(SOON, &mut pausing).await {
        Ok(paused) => paused,
        Err(_) => {
            say("waiting for what is being committed …");
            pausing.await
        }
    };
    let paused = paused?.context("somebody resumed it at the same time")?;
    if args.json {
        return print(serde_json::to_string(&paused)?);
    }
    let Paused { paused, already } = paused;
    let words = super::in_words(&paused);
    if already { print(format_args!("it was so already: {words}")) } else { print(words) }
}
