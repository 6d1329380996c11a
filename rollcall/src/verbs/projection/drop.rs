//! `rollcall projection drop`

use super::{super::print, further::Name};
use crate::settings;
use serde_json::json;

/// Drop a retired or abandoned generation with its tables
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The generation's number, as `projection list` shows it
    #[arg(value_name = "N")]
    generation: i32,
    #[command(flatten)]
    name: Name,
    /// Also drop the last generation of a replaced log, which no rebuild can restore
    #[arg(long, conflicts_with = "projection")]
    last_of_its_log: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) fn left(&self) -> String {
        let (generation, of) = (self.generation, self.name.option());
        format!(
            "generation {generation} is dropped as a whole or not at all. `rollcall projection list{of}` shows whether it is there"
        )
    }
}

pub(crate) async fn drop(args: &Args) -> anyhow::Result<()> {
    let generation = args.generation;
    let settings = settings::load()?;
    match &args.name.projection {
        None => projector::drop_unused(&settings, generation, args.last_of_its_log).await?,
        Some(name) => projector::projections::drop_unused(&settings, name, generation).await?,
    }
    if args.json {
        return print(json!({"dropped": generation}));
    }
    print(format_args!("generation {generation} is dropped"))
}
