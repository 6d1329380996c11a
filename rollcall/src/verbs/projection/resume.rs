//! `rollcall projection resume`

use super::super::print;
use crate::settings;
use serde_json::json;

/// Has the projectors go on after `projection pause`, or after they stopped by themselves; succeeds when nothing is paused
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn resume(args: &Args) -> anyhow::Result<()> {
    let was = projector::resume(&settings::completed()?).await?;
    if args.json {
        return print(json!({"resumed": was}));
    }
    let Some(was) = was else { return print("nothing was paused: the projectors go on") };
    print(format_args!("the projectors go on; they were {}", super::in_words(&was)))
}
