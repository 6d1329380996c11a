//! The connection to the read model of a proof, an audit or an export.

use service_kit::{
    database::{self, Role},
    settings::Settings,
};
use sqlx::{Executor as _, PgConnection};

/// Opens a read-only connection whose statements may take any time.
///
/// # Errors
/// PostgreSQL can't be reached.
pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<PgConnection> {
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let mut connection = pool.acquire().await?.detach();
    connection.execute("SET statement_timeout = 0").await?;
    connection.execute("SET default_transaction_read_only = on").await?;
    Ok(connection)
}
