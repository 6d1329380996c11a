//! Counts of dead letters and parked users.

use crate::generation::statement;
use events_schema::{ReasonCode, Topic};
use sqlx::PgPool;
use time::OffsetDateTime;

/// The dead letters of a topic with one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonCount {
    /// `users` or `credentials`.
    pub topic: String,
    /// The code of the reason.
    pub reason: String,
    /// The number of dead letters.
    pub letters: i64,
    /// When the oldest of them was set aside.
    pub oldest: Option<OffsetDateTime>,
}

/// Counts the dead letters of the live generation by topic and reason.
///
/// # Errors
/// The query failed.
pub async fn by_reason(pool: &PgPool) -> sqlx::Result<Vec<ReasonCount>> {
    let rows: Vec<(String, String, i64, Option<OffsetDateTime>)> = sqlx::query_as(
        "SELECT topic, reason, count(*), min(parked_at) FROM live.dead_letters GROUP BY topic, reason ORDER BY topic DESC, reason",
    )
    .fetch_all(pool)
    .await?;
    let row = |(topic, reason, letters, oldest)| ReasonCount { topic, reason, letters, oldest };
    Ok(rows.into_iter().map(row).collect())
}

/// Counts the parked users of the live generation.
///
/// # Errors
/// The query failed.
pub async fn parked_users(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT DISTINCT tenant_id, user_id FROM live.dead_letters \
         WHERE topic = $1 AND user_id IS NOT NULL AND at_home) parked",
    )
    .bind(Topic::Users.as_str())
    .fetch_one(pool)
    .await
}

/// Counts the users of a generation who are parked because their data key is missing.
///
/// # Errors
/// The query failed.
pub async fn users_without_key(pool: &PgPool, generation: i32) -> sqlx::Result<i64> {
    let sql = "SELECT count(DISTINCT (tenant_id, user_id)) FROM {g}.dead_letters WHERE reason = $1";
    sqlx::query_scalar(statement(sql, generation)).bind(ReasonCode::KeyMissing.as_str()).fetch_one(pool).await
}

/// Counts the users of the live generation who were parked in the last ten minutes.
///
/// An operator's resume starts the count again, and so does a promotion: the new generation parks
/// again who was parked before. A user whose data key is missing does not count if the event is
/// older: a replay meets the events of erased users long before their deletions.
const NEWLY_PARKED: &str = "\
SELECT count(*) FROM ( \
    SELECT FROM live.dead_letters WHERE topic = 'users' \
    GROUP BY tenant_id, user_id, CASE WHEN user_id IS NULL OR NOT at_home THEN id END \
    HAVING NOT ((array_agg(reason ORDER BY log_offset))[1] = $1 AND min(record_time) < now() - interval '10 minutes') \
        AND min(parked_at) > greatest(now() - interval '10 minutes', (SELECT at FROM rollcall.resumed), \
        (SELECT promoted_at FROM rollcall.generations WHERE state = 'live'))) parked";

/// Counts the users who were parked in the last ten minutes, or since the last resume or promotion.
/// The count is in the database, so it survives restarts and covers all instances.
///
/// # Errors
/// The query failed.
pub async fn newly_parked(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar(NEWLY_PARKED).bind(ReasonCode::KeyMissing.as_str()).fetch_one(pool).await
}
