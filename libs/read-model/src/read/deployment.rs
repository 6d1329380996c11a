//! Which deployment the read model belongs to.

use sqlx::PgPool;
use uuid::Uuid;

/// The deployment and the log of the live generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveDeployment {
    /// The deployment's id.
    pub id: Uuid,
    /// The id of the topic of user events.
    pub log: String,
    /// The epoch of that log.
    pub epoch: u32,
}

/// Reads which deployment this is and which log is live. `None` before the first migration.
///
/// # Errors
/// The database's error.
pub async fn live_deployment(pool: &PgPool) -> sqlx::Result<Option<LiveDeployment>> {
    let row: Option<(Uuid, String, i32)> = sqlx::query_as(
        "\
SELECT d.id, l.users_topic_id, l.epoch FROM rollcall.deployment d, rollcall.generations g \
JOIN rollcall.logs l ON l.epoch = g.log_epoch WHERE g.state = 'live'",
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(id, log, epoch)| LiveDeployment {
        id,
        log,
        epoch: u32::try_from(epoch).unwrap_or_default(),
    }))
}

/// The deployment's id. `None` before the first migration.
///
/// # Errors
/// The database's error.
pub async fn deployment_id(pool: &PgPool) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar("SELECT id FROM rollcall.deployment").fetch_optional(pool).await
}
