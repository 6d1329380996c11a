//! Projections beside the users: their generations, checkpoints and failures. Their own tables
//! belong to their authors, in a schema for each generation.
//!
//! How they are kept right is in `docs/design/projections.md`.

pub mod batch;
pub mod create;
pub mod digest;
pub mod failures;
pub mod generations;
pub mod pause;
pub mod round;

use crate::locks::FoldKey;
use service_kit::{
    database::{self, Role},
    settings::Settings,
};
use sqlx::PgPool;
use std::fmt;

/// Connections of a projection's thread or verb: for two fold locks, a round, a batch, and a
/// snapshot.
const CONNECTIONS: u32 = 5;

/// A generation of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GenerationId {
    /// The projection's name. `rollcall.projections` accepts only names that fit a schema.
    pub projection: &'static str,
    /// The number.
    pub generation: i32,
}

impl GenerationId {
    /// The schema of its tables.
    #[must_use]
    pub fn schema(self) -> String {
        format!("projection_{}_{}", self.projection, self.generation)
    }
}

impl From<GenerationId> for FoldKey {
    fn from(id: GenerationId) -> Self {
        Self::Projection(id.schema())
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {} of projection {}", self.generation, self.projection)
    }
}

/// Opens a pool for one projection. Statements of its author are planned as usual.
///
/// # Errors
/// `DATABASE_URL` is missing or invalid.
pub fn pool(settings: &Settings) -> anyhow::Result<PgPool> {
    database::pool(settings.database_url()?, Role::Projector, CONNECTIONS)
}
