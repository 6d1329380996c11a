//! `rollcall projection list`

use super::{
    super::{
        print,
        table::{Table, cell},
    },
    further::{self, Name},
};
use crate::settings;
use events_schema::millis;
use indicatif::HumanBytes;
use read_model::generation::GenerationState;
use time::OffsetDateTime;

/// List the generations of the users, or of another projection
///
/// lag: how many offsets a generation is behind the live one; empty for one of another log, which
/// does not follow. verified: when it was last found equal to the live one of that time; `differs`
/// if a comparison found a difference; `-` if it was never compared. fold: the version of the code
/// that made it. waiting: how many records of parked users another projection has passed.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    name: Name,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

pub(crate) async fn list(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    if let Some(name) = &args.name.projection {
        let generations = projector::projections::generations(&settings, name).await?;
        return further::list::print_generations(&generations, args.json);
    }
    let generations = projector::generations(&settings).await?;
    if args.json {
        return generations.iter().try_for_each(|generation| print(serde_json::to_string(generation)?));
    }
    let mut table = Table::new([
        "generation",
        "state",
        "created",
        "promoted",
        "verified",
        "folded",
        "lag",
        "fold",
        "size",
    ]);
    let abandoned: Vec<_> = generations.iter().filter(|one| one.is_abandoned).map(|one| one.id).collect();
    let is_old = |one: &&projector::Generation| one.state == GenerationState::Live && !one.has_postings;
    let old: Vec<_> = generations.iter().filter(is_old).map(|one| one.id).collect();
    for generation in generations {
        let (created, promoted) = (millis(generation.created_at), generation.promoted_at.map(millis));
        let verified = verified(generation.verified_at, generation.differed_at);
        table.row([
            generation.id.to_string(),
            if generation.is_abandoned { "abandoned".to_owned() } else { generation.state.to_string() },
            created.to_string(),
            cell(promoted),
            verified,
            generation.folded.to_string(),
            cell(generation.lag),
            generation.fold_version.to_string(),
            HumanBytes(generation.bytes.unsigned_abs()).to_string(),
        ]);
    }
    print(table)?;
    old.into_iter().try_for_each(|id| {
        print(format_args!(
            "generation {id} was made by an earlier release: searches use its old indexes. `rollcall projection rebuild --promote` makes \
             a generation with postings, which are faster"
        ))
    })?;
    abandoned.into_iter().try_for_each(|id| {
        print(format_args!(
            "generation {id} is abandoned: its rebuild was interrupted. `rollcall projection rebuild --resume` finishes it, \
             `rollcall projection drop {id}` drops it, and so does the next rebuild"
        ))
    })
}

/// The result of the last comparison of a generation.
pub(super) fn verified(verified_at: Option<OffsetDateTime>, differed_at: Option<OffsetDateTime>) -> String {
    match (verified_at, differed_at) {
        (Some(at), _) => millis(at).to_string(),
        (None, Some(_)) => "differs".to_owned(),
        (None, None) => cell(None::<i32>),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_compared_is_told_from_different() {
        let at = Some(OffsetDateTime::UNIX_EPOCH);
        assert_eq!((verified(None, None), verified(None, at)), ("-".to_owned(), "differs".to_owned()));
        // An older release does not know of the second time.
        assert!(verified(at, at).starts_with("1970-"));
    }
}
