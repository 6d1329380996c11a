//! `rollcall projection resume`

use super::{super::print, further::Name, pause::left};
use crate::settings;
use serde_json::json;

/// Resume folding after `projection pause`, or after the projectors paused themselves
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    name: Name,
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

pub(crate) async fn resume(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let was = match &args.name.projection {
        None => projector::resume(&settings).await?,
        Some(name) => projector::projections::resume(&settings, name).await?,
    };
    if args.json {
        return print(json!({"resumed": was}));
    }
    let Some(was) = was else { return print("nothing was paused") };
    let what = args.name.projection.as_ref().map(|name| format!("projection {name} was"));
    let what = what.unwrap_or_else(|| "the projectors were".to_owned());
    print(format_args!("resumed; {what} {}", super::in_words(&was)))
}
