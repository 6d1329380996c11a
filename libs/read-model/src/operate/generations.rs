//! Generations as operators see them.

use crate::generation::statement;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// The number.
    pub id: i32,
    /// `building`, `live` or `retired`.
    pub state: String,
    /// When its tables were created.
    pub created_at: OffsetDateTime,
    /// When it became the live one.
    pub promoted_at: Option<OffsetDateTime>,
    /// The epoch of the log that it is folded from.
    pub log_epoch: i32,
    /// Whether searches use its postings.
    pub has_postings: bool,
    /// The folded offsets of both topics.
    pub folded: i64,
}

/// All generations, oldest first.
///
/// # Errors
/// The query failed.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<GenerationRow>> {
    type Columns = (i32, String, OffsetDateTime, Option<OffsetDateTime>, i32, bool, i64);
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT g.id, g.state, g.created_at, g.promoted_at, g.log_epoch, g.has_postings, coalesce(sum(c.next_offset), 0)::bigint AS folded \
         FROM rollcall.generations g LEFT JOIN rollcall.checkpoints c ON c.generation = g.id GROUP BY g.id ORDER BY g.id",
    )
    .fetch_all(pool)
    .await?;
    let row = |(id, state, created_at, promoted_at, log_epoch, has_postings, folded): Columns| {
        GenerationRow { id, state, created_at, promoted_at, log_epoch, has_postings, folded }
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The state of a generation: `building`, `live` or `retired`. `None` if it does not exist.
///
/// # Errors
/// The query failed.
pub async fn state(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT state FROM rollcall.generations WHERE id = $1")
        .bind(generation)
        .fetch_optional(connection)
        .await
}

/// Whether a generation is the last one of a log that the live generation is not folded from. It
/// may then be all that is left of that log.
///
/// # Errors
/// The query failed.
pub async fn is_last_of_another_log(connection: &mut PgConnection, generation: i32) -> sqlx::Result<bool> {
    let is_last: Option<bool> = sqlx::query_scalar(
        "SELECT log_epoch <> (SELECT log_epoch FROM rollcall.generations WHERE state = 'live') AND NOT EXISTS \
             (SELECT FROM rollcall.generations o WHERE o.log_epoch = g.log_epoch AND o.id <> g.id AND o.state <> 'building') \
         FROM rollcall.generations g WHERE id = $1",
    )
    .bind(generation)
    .fetch_optional(connection)
    .await?;
    Ok(is_last == Some(true))
}

/// The generations that are being built, or that a failed rebuild has left.
///
/// # Errors
/// The query failed.
pub async fn building(connection: &mut PgConnection) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE state = 'building'")
        .fetch_all(connection)
        .await
}

/// The retired generations up to `retired` that are not the last one of their log.
///
/// # Errors
/// The query failed.
pub async fn superseded(connection: &mut PgConnection, retired: i32) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar(
        "SELECT id FROM rollcall.generations g WHERE state = 'retired' AND id < $1 AND EXISTS ( \
             SELECT FROM rollcall.generations o WHERE o.log_epoch = g.log_epoch AND o.id > g.id AND o.id <= $1)",
    )
    .bind(retired)
    .fetch_all(connection)
    .await
}

/// Updates the planner's statistics of a generation.
///
/// # Errors
/// The statement failed.
pub async fn analyze(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    let analyze = "ANALYZE {g}.users, {g}.tombstones, {g}.credentials";
    sqlx::raw_sql(statement(analyze, generation)).execute(connection).await.map(drop)
}

/// Lets statements of the transaction wait at most 3 seconds for a lock.
///
/// # Errors
/// The statement failed.
pub async fn limit_lock_wait(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SET LOCAL lock_timeout = '3s'").execute(connection).await.map(drop)
}

/// Lets statements on this connection take as long as they need.
///
/// # Errors
/// The statement failed.
pub async fn allow_long_statements(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SET statement_timeout = 0").execute(connection).await.map(drop)
}
