//! What became of a write: its outcome, and what is left of an erasure.

use crate::RejectionReason;
use events_schema::UserKey;
use service_kit::position::{LogPosition, Position};
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

/// What the read model records about an event that it has folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedOutcome {
    /// It is not rejected, or not any more.
    Accepted,
    /// It has no effect, for this reason.
    Rejected(RejectionReason),
    /// Another log is live by now, so nothing is recorded about it.
    AnotherLog,
}

/// What is recorded about the event at `position`, which must be folded.
///
/// PostgreSQL locks the views before it takes the statement's snapshot, so both answers are about
/// one generation.
///
/// # Errors
/// The database's error.
pub async fn outcome(pool: &PgPool, position: LogPosition) -> sqlx::Result<RecordedOutcome> {
    let LogPosition { epoch, at: Position { partition, offset } } = position;
    let row: Option<Option<String>> = sqlx::query_scalar(
        "SELECT (SELECT reason FROM live.rejections WHERE partition = $1 AND log_offset = $2) \
         FROM rollcall.generations WHERE state = 'live' AND log_epoch = $3",
    )
    .bind(i32::try_from(partition).unwrap_or(-1))
    .bind(offset)
    .bind(i32::try_from(epoch).unwrap_or(-1))
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        None => RecordedOutcome::AnotherLog,
        Some(None) => RecordedOutcome::Accepted,
        Some(Some(reason)) => RecordedOutcome::Rejected(RejectionReason::of_stored(&reason)),
    })
}
