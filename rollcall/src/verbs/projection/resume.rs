//! `rollcall projection resume`

use super::super::print;
use crate::settings;
use serde_json::json;

/// Resume folding after `projection pause`, or after the projectors paused themselves
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn resume(args: &Args) -> anyhow::Result<()> {
    let was = projector::resume(&settings::load()?).await?;
    if args.json {
        return print(json!({"resumed": was}));
    }
    let Some(was) = was else { return print("nothing was paused") };
    print(format_args!("resumed; the projectors were {}", super::in_words(&was)))
}
