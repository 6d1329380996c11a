//! What became of a write: the reason of a rejection, and what is left of an erasure.

use crate::RejectionReason;
use events_schema::UserKey;
use service_kit::position::LogPosition;
use sqlx::PgPool;

/// What is left of the erasure of a deleted user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingErasure {
    /// Nothing.
    None,
    /// The key, which is in another database. Most likely it is being destroyed now.
    Key,
    /// A body in a cache that does not answer.
    Body,
}

/// What is left of the erasure of a deleted user. Steps about a key come first.
///
/// # Errors
/// The database's error.
pub async fn pending_erasure(pool: &PgPool, key: &UserKey) -> sqlx::Result<PendingErasure> {
    let step: Option<String> =
        sqlx::query_scalar("SELECT max(step) FROM rollcall.erasures WHERE tenant_id = $1 AND user_id = $2")
            .bind(key.tenant.as_str())
            .bind(key.user)
            .fetch_one(pool)
            .await?;
    Ok(match step.as_deref() {
        None => PendingErasure::None,
        Some("key") => PendingErasure::Key,
        Some(_) => PendingErasure::Body,
    })
}

/// Why the event at `position` was rejected. `None` if it is not rejected, or not any more.
///
/// # Errors
/// The database's error.
pub async fn rejection_reason(pool: &PgPool, position: LogPosition) -> sqlx::Result<Option<RejectionReason>> {
    let LogPosition { epoch, at } = position;
    let reason: Option<String> = sqlx::query_scalar(
        "\
SELECT r.reason FROM live.rejections r, rollcall.generations g \
WHERE r.partition = $1 AND r.log_offset = $2 AND g.state = 'live' AND g.log_epoch = $3",
    )
    .bind(i32::try_from(at.partition).unwrap_or(-1))
    .bind(at.offset)
    .bind(i32::try_from(epoch).unwrap_or(-1))
    .fetch_optional(pool)
    .await?;
    Ok(reason.as_deref().map(RejectionReason::of_stored))
}
