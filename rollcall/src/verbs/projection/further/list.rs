//! `rollcall projection list --projection NAME`

use super::super::{
    super::{
        print,
        table::{Table, cell},
    },
    list::verified,
};
use events_schema::millis;
use indicatif::HumanBytes;
use projector::projections::ProjectionGeneration;

/// Prints the generations of a projection.
pub(in super::super) fn print_generations(
    generations: &[ProjectionGeneration],
    is_json: bool,
) -> anyhow::Result<()> {
    if is_json {
        return generations.iter().try_for_each(|generation| print(serde_json::to_string(generation)?));
    }
    print(table(generations))
}

pub(super) fn table(generations: &[ProjectionGeneration]) -> Table {
    let mut table = Table::new([
        "generation",
        "state",
        "created",
        "promoted",
        "verified",
        "folded",
        "lag",
        "waiting",
        "fold",
        "size",
    ]);
    for generation in generations {
        table.row([
            generation.id.to_string(),
            if generation.is_abandoned { "abandoned".to_owned() } else { generation.state.to_string() },
            millis(generation.created_at).to_string(),
            cell(generation.promoted_at.map(millis)),
            verified(generation.verified_at, generation.differed_at),
            generation.folded.to_string(),
            cell(generation.lag),
            generation.waiting.to_string(),
            generation.fold_version.to_string(),
            HumanBytes(generation.bytes.unsigned_abs()).to_string(),
        ]);
    }
    table
}
