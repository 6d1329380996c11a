//! The connection pool of a process that writes the read model.

use service_kit::{
    database::{self, Role},
    settings::Settings,
};
use sqlx::PgPool;

/// The number of connections of a writer, two of them for fold locks.
const CONNECTIONS: u32 = 6;

/// Opens a pool whose connections look rows up by primary key only.
///
/// # Errors
/// `DATABASE_URL` is missing or invalid.
pub fn pool(settings: &Settings) -> anyhow::Result<PgPool> {
    Ok(database::by_key(database::pool(settings.database_url()?, Role::Projector, CONNECTIONS)?))
}
