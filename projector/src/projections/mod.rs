//! Projections beside the users: following the log, and the verbs on their generations. What they fold
//! is in `libs/projections`, and how they are kept right in `docs/design/projections.md`.

mod commit;
mod events;
mod failed;
mod failures_note;
mod folder;
mod following;
mod generations;
mod hold;
mod pause;
mod promote;
mod query;
mod read;
mod rebuild;
mod status;
mod verify;

pub(crate) use failures_note::find as failures_note;
pub(crate) use following::start as start_following;

pub use generations::{ProjectionGeneration, drop_unused, generations};
pub use pause::{pause, resume};
pub use promote::promote;
pub use query::{Answer, query};
pub use rebuild::rebuild;
pub use status::{ProjectionFailure, ProjectionPartition, ProjectionStatus, all, failures, status};
pub use verify::verify;

use anyhow::Context as _;
use projections::Registered;
use read_model::projections::create::Definition;

/// The names of all projections beside the users.
#[must_use]
pub fn names() -> Vec<&'static str> {
    projections::registered().map(|projection| projection.name).collect()
}

fn named(name: &str) -> anyhow::Result<&'static Registered> {
    projections::named(name)
        .with_context(|| format!("there is no projection {name}: there are {}", names().join(", ")))
}

/// What the read model has to know of a projection.
fn definition_of(projection: &Registered) -> Definition {
    Definition {
        projection: projection.name,
        fold_version: projection.fold_version,
        sql: projection.sql,
        tables: projection.table_names(),
        personal_tables: projection.personal_tables(),
    }
}
