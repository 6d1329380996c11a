//! `rollcall projection list`

use super::super::{
    print,
    table::{Table, cell},
};
use crate::settings;
use events_schema::millis;

/// List the generations of the read model
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

pub(crate) async fn list(args: &Args) -> anyhow::Result<()> {
    let generations = projector::generations(&settings::load()?).await?;
    if args.json {
        return generations.iter().try_for_each(|generation| print(serde_json::to_string(generation)?));
    }
    let mut table = Table::new(["generation", "state", "created", "promoted", "folded"]);
    let abandoned: Vec<_> = generations.iter().filter(|one| one.is_abandoned).map(|one| one.id).collect();
    let is_old = |one: &&projector::Generation| one.state == "live" && !one.has_postings;
    let old: Vec<_> = generations.iter().filter(is_old).map(|one| one.id).collect();
    for generation in generations {
        let (created, promoted) = (millis(generation.created_at), generation.promoted_at.map(millis));
        table.row([
            generation.id.to_string(),
            if generation.is_abandoned { "abandoned".to_owned() } else { generation.state },
            created.to_string(),
            cell(promoted),
            generation.folded.to_string(),
        ]);
    }
    print(table)?;
    old.into_iter().try_for_each(|id| {
        print(format_args!(
            "generation {id} was made by an earlier release: searches use its old indexes. `rollcall projection rebuild` makes \
             a generation with postings, which are faster"
        ))
    })?;
    abandoned.into_iter().try_for_each(|id| {
        print(format_args!(
            "generation {id} is abandoned: its rebuild ended without promoting it. `rollcall projection drop {id}` drops it, \
             and so does the next rebuild"
        ))
    })
}
