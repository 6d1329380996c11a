//! Skips what exists already: in the read model, or earlier in this import.

use super::{Identity, ImportedEvent, Kind};
use events_schema::TenantId;
use read_model::read::import;
use sqlx::PgPool;
use std::collections::HashSet;

/// Queries the read model for a batch.
pub(super) struct Existing<'k> {
    pub(super) pool: &'k PgPool,
    pub(super) tenant: &'k TenantId,
    pub(super) kind: Kind,
}

impl Existing<'_> {
    /// The ids of those events that exist already.
    pub(super) async fn of(&self, events: &[ImportedEvent]) -> sqlx::Result<HashSet<Identity>> {
        let ids: Vec<Identity> = events.iter().map(|event| event.identity).collect();
        let existing = match self.kind {
            Kind::Users => import::existing_users(self.pool, self.tenant, &ids).await?,
            Kind::Credentials => import::existing_credentials(self.pool, self.tenant, &ids).await?,
        };
        Ok(existing.into_iter().collect())
    }
}

/// How many ids are remembered at least.
const MAX_REMEMBERED: usize = 500_000;

/// Ids of recent lines, which may not be visible yet. Forgetting one costs only a record without
/// effect.
#[derive(Default)]
pub(super) struct Recent {
    young: HashSet<Identity>,
    old: HashSet<Identity>,
}

impl Recent {
    /// Remembers an id and returns whether it is new.
    pub(super) fn is_new(&mut self, identity: Identity) -> bool {
        if self.young.len() >= MAX_REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        !self.old.contains(&identity) && self.young.insert(identity)
    }
}
