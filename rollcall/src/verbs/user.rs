//! The arguments that name a user.

use events_schema::{TenantId, UserKey};
use uuid::Uuid;

/// A user.
#[derive(clap::Args)]
pub(super) struct User {
    /// The user's tenant
    #[arg(long, value_name = "T")]
    tenant: TenantId,
    /// The user's id
    #[arg(long, value_name = "ID", value_parser = id)]
    user: Uuid,
}

fn id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "a user's id is a UUID")
}

impl User {
    pub(super) fn key(&self) -> UserKey {
        UserKey { tenant: self.tenant.clone(), user: self.user }
    }
}
