//! Counts what a generation could not fold.

use crate::generation::statement;
use sqlx::PgConnection;

const USERS: &str = "\
SELECT count(*) FROM (SELECT FROM {g}.dead_letters WHERE topic = 'users' \
    GROUP BY tenant_id, user_id, CASE WHEN user_id IS NULL THEN id END) parked";

const REASONS: &str =
    "SELECT reason, count(*) FROM {g}.dead_letters GROUP BY reason ORDER BY count(*) DESC, reason";

/// How many users are parked. A record of `users.events` without an owner counts as one.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn users(connection: &mut PgConnection, generation: i32) -> sqlx::Result<i64> {
    sqlx::query_scalar(statement(USERS, generation)).fetch_one(connection).await
}

/// How many records of both topics were set aside for each reason, the most frequent reason first.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn reasons(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Vec<(String, i64)>> {
    sqlx::query_as(statement(REASONS, generation)).fetch_all(connection).await
}
