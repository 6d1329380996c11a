//! `rollcall projection pause`

use super::super::print;
use crate::settings;
use anyhow::Context as _;
use serde_json::json;

/// Has every projector stop folding, until `projection resume`; restarts don't end it
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What health checks and `projection status` say
    #[arg(long, default_value = "an operator paused it")]
    reason: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn pause(args: &Args) -> anyhow::Result<()> {
    let paused = projector::pause(&settings::completed()?, &args.reason).await?;
    let paused = paused.context("somebody resumed it at the same time")?;
    if args.json {
        return print(json!({"paused": paused}));
    }
    print(super::in_words(&paused))
}
