//! `rollcall projection drop`

use super::super::print;
use crate::settings;
use serde_json::json;

/// Drops a retired generation, or one that a rebuild abandoned, with its tables
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its number, as `projection list` shows it
    #[arg(value_name = "N")]
    generation: i32,
    /// Also drops the last generation of a log that was replaced by another one: no rebuild brings it back
    #[arg(long)]
    last_of_its_log: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn drop(args: &Args) -> anyhow::Result<()> {
    let generation = args.generation;
    projector::drop_unused(&settings::completed()?, generation, args.last_of_its_log).await?;
    if args.json {
        return print(json!({"dropped": generation}));
    }
    print(format_args!("generation {generation} is gone"))
}
