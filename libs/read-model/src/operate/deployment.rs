//! The id of the deployment, which the read model shares with the key store.

use sqlx::PgConnection;
use uuid::Uuid;

/// The id of this deployment; `None`: the read model has none yet.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn id(connection: &mut PgConnection) -> sqlx::Result<Option<Uuid>> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('rollcall.deployment') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT id FROM rollcall.deployment").fetch_optional(connection).await
}
