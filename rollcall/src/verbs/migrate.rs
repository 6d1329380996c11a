//! `rollcall migrate`

use super::print;
use crate::settings;
use projector::Migrated;
use serde_json::json;

/// Creates or updates the read model's schema and the topics; changes nothing where they are as they should be
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON object: the topics, and the tables and columns, that were made
    #[arg(long)]
    json: bool,
}

pub(crate) async fn migrate(args: &Args) -> anyhow::Result<()> {
    let migrated = projector::migrate(&settings::completed()?).await?;
    if args.json {
        return print(json!({"made": migrated}));
    }
    let Migrated { topics, tables } = migrated;
    if topics.is_empty() && tables.is_empty() {
        return print("nothing to do: topics, tables and key store are as they should be");
    }
    for made in topics {
        print(format_args!("made topic {} with {} partitions", made.topic, made.partitions))?;
    }
    tables.iter().try_for_each(|table| print(format_args!("made {table}")))
}
