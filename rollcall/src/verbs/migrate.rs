//! `rollcall migrate`

use super::print;
use crate::settings;
use projector::Migrated;
use serde_json::json;

/// Create or update the read model's schema, the key store and the topics
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object with the topics, tables and columns that were created
    #[arg(long)]
    json: bool,
}

/// What it leaves if it is interrupted.
pub(crate) const LEFT: &str = "what was created stays. Run `rollcall migrate` again";

pub(crate) async fn migrate(args: &Args) -> anyhow::Result<()> {
    let migrated = projector::migrate(&settings::load()?).await?;
    if args.json {
        return print(json!({"made": migrated}));
    }
    let Migrated { topics, tables } = migrated;
    if topics.is_empty() && tables.is_empty() {
        return print("nothing to do: topics, tables and key store are up to date");
    }
    for made in topics {
        print(format_args!("created topic {} with {} partitions", made.topic, made.partitions))?;
    }
    tables.iter().try_for_each(|table| print(format_args!("created {table}")))
}
