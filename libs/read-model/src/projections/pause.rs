//! The pause of one projection.

use crate::operate::pause::Pause;
use sqlx::PgPool;
use time::OffsetDateTime;

/// The name of who has paused it.
const OPERATOR: &str = "operator";

/// The pause, if there is one.
///
/// # Errors
/// The query failed.
pub async fn find(pool: &PgPool, projection: &str) -> sqlx::Result<Option<Pause>> {
    let row: Option<(String, OffsetDateTime)> = sqlx::query_as(
        "SELECT paused_reason, paused_since FROM rollcall.projections WHERE name = $1 AND paused_since IS NOT NULL",
    )
    .bind(projection)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(reason, since)| Pause { reason, since, by: OPERATOR.to_owned() }))
}

/// Pauses a projection, unless it is paused. Returns whether it was not. Once it returns, nothing
/// more is folded: a batch holds this row until it is committed.
///
/// # Errors
/// The statement failed.
pub async fn insert(pool: &PgPool, projection: &str, reason: &str) -> sqlx::Result<bool> {
    let insert = sqlx::query(
        "INSERT INTO rollcall.projections AS p (name, paused_since, paused_reason) VALUES ($1, now(), $2) \
         ON CONFLICT (name) DO UPDATE SET paused_since = excluded.paused_since, paused_reason = excluded.paused_reason \
         WHERE p.paused_since IS NULL",
    );
    Ok(insert.bind(projection).bind(reason).execute(pool).await?.rows_affected() > 0)
}

/// Removes the pause and returns it, if there was one.
///
/// # Errors
/// The statement failed.
pub async fn resume(pool: &PgPool, projection: &str) -> sqlx::Result<Option<Pause>> {
    let paused = find(pool, projection).await?;
    sqlx::query("UPDATE rollcall.projections SET paused_since = NULL, paused_reason = NULL WHERE name = $1")
        .bind(projection)
        .execute(pool)
        .await?;
    Ok(paused)
}
