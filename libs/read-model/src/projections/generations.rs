//! The generations of a projection, their states and their standing.

use super::GenerationId;
use crate::generation::GenerationState;
use sqlx::{PgConnection, PgExecutor, PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;

/// A generation of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// The number.
    pub generation: i32,
    /// Its state.
    pub state: GenerationState,
    /// When its tables were created.
    pub created_at: OffsetDateTime,
    /// When it had the whole log.
    pub built_at: Option<OffsetDateTime>,
    /// When it was last found equal to the live one of that time.
    pub verified_at: Option<OffsetDateTime>,
    /// When it was last found different from the live one of that time, if it was not found equal
    /// since.
    pub differed_at: Option<OffsetDateTime>,
    /// The digest of that time.
    pub digest: Option<String>,
    /// When it became the live one.
    pub promoted_at: Option<OffsetDateTime>,
    /// The epoch of the log that it is folded from.
    pub log_epoch: i32,
    /// The version of the fold that has made it.
    pub fold_version: i32,
    /// Its tables.
    pub tables: Vec<String>,
    /// The folded offsets of `users.events`.
    pub folded: i64,
    /// How many offsets it is behind the live generation of the users. `None` if it is folded from
    /// another log.
    pub lag: Option<i64>,
    /// Parked records that it has passed.
    pub waiting: i64,
    /// The size of its tables and indexes, in bytes.
    pub bytes: i64,
}

const LIST: &str = "\
SELECT g.generation, g.state, g.created_at, g.built_at, g.verified_at, g.differed_at, g.digest, g.promoted_at, g.log_epoch, g.fold_version, g.tables, \
    coalesce(sum(c.next_offset), 0)::bigint AS folded, \
    CASE WHEN g.log_epoch = live.log_epoch THEN coalesce(sum(greatest(l.next_offset - c.next_offset, 0)), 0)::bigint END AS lag, \
    (SELECT count(*) FROM rollcall.projection_waiting w WHERE w.projection = g.projection AND w.generation = g.generation) AS waiting, \
    (SELECT coalesce(sum(pg_total_relation_size(r.oid)), 0)::bigint FROM pg_class r \
        WHERE r.relnamespace = to_regnamespace('projection_' || g.projection || '_' || g.generation) AND r.relkind IN ('r', 'p')) AS bytes \
FROM rollcall.projection_generations g LEFT JOIN rollcall.generations live ON live.state = 'live' \
LEFT JOIN rollcall.projection_checkpoints c ON c.projection = g.projection AND c.generation = g.generation \
LEFT JOIN rollcall.checkpoints l ON l.generation = live.id AND l.topic = 'users' AND l.partition = c.partition \
WHERE g.projection = $1 GROUP BY g.projection, g.generation, live.log_epoch ORDER BY g.generation";

/// All generations of a projection, oldest first.
///
/// # Errors
/// The query failed.
pub async fn list(pool: &PgPool, projection: &str) -> sqlx::Result<Vec<GenerationRow>> {
    let rows = sqlx::query(LIST).bind(projection).fetch_all(pool).await?;
    rows.iter().map(generation_row).collect()
}

fn generation_row(row: &PgRow) -> sqlx::Result<GenerationRow> {
    Ok(GenerationRow {
        generation: row.try_get("generation")?,
        state: row.try_get("state")?,
        created_at: row.try_get("created_at")?,
        built_at: row.try_get("built_at")?,
        verified_at: row.try_get("verified_at")?,
        differed_at: row.try_get("differed_at")?,
        digest: row.try_get("digest")?,
        promoted_at: row.try_get("promoted_at")?,
        log_epoch: row.try_get("log_epoch")?,
        fold_version: row.try_get("fold_version")?,
        tables: row.try_get("tables")?,
        folded: row.try_get("folded")?,
        lag: row.try_get("lag")?,
        waiting: row.try_get("waiting")?,
        bytes: row.try_get("bytes")?,
    })
}

/// Whether a projection has a generation.
///
/// # Errors
/// The query failed.
pub async fn any(executor: impl PgExecutor<'_>, projection: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM rollcall.projection_generations WHERE projection = $1)")
        .bind(projection)
        .fetch_one(executor)
        .await
}

/// A generation that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// The number.
    pub generation: i32,
    /// How many offsets it is behind.
    pub lag: i64,
    /// Whether records that waited for an operator are decided.
    pub has_decided: bool,
    /// Whether it has failed since it last followed.
    pub is_failing: bool,
    /// Whether an operator has paused the projection.
    pub is_paused: bool,
}

/// The generations that follow: those that are not being built, of the present log, that this version of
/// the fold has made.
///
/// # Errors
/// The query failed.
pub async fn following(pool: &PgPool, projection: &str, fold_version: i32) -> sqlx::Result<Vec<Following>> {
    let rows: Vec<(i32, i64, bool, bool, bool)> =
        sqlx::query_as(FOLLOWING).bind(projection).bind(fold_version).fetch_all(pool).await?;
    let following = |(generation, lag, has_decided, is_failing, is_paused)| Following {
        generation,
        lag,
        has_decided,
        is_failing,
        is_paused,
    };
    Ok(rows.into_iter().map(following).collect())
}

const FOLLOWING: &str = "\
SELECT g.generation, sum(greatest(l.next_offset - c.next_offset, 0))::bigint, \
    EXISTS (SELECT FROM rollcall.projection_waiting w \
        LEFT JOIN live.rejections r ON r.partition = w.partition AND r.log_offset = w.log_offset \
        WHERE w.projection = g.projection AND w.generation = g.generation AND r.reason IS DISTINCT FROM 'parked'), \
    EXISTS (SELECT FROM rollcall.projection_failures f WHERE f.projection = g.projection AND f.generation = g.generation), \
    p.paused_since IS NOT NULL \
FROM rollcall.projection_generations g JOIN rollcall.projections p ON p.name = g.projection \
JOIN rollcall.generations live ON live.state = 'live' AND live.log_epoch = g.log_epoch \
JOIN rollcall.projection_checkpoints c ON c.projection = g.projection AND c.generation = g.generation \
JOIN rollcall.checkpoints l ON l.generation = live.id AND l.topic = 'users' AND l.partition = c.partition \
WHERE g.projection = $1 AND g.fold_version = $2 AND g.state <> 'building' GROUP BY g.projection, g.generation, p.paused_since ORDER BY g.generation";

/// The epoch of the log that the live generation of the users is folded from.
///
/// # Errors
/// The query failed.
pub async fn users_log_epoch(connection: &mut PgConnection) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar("SELECT log_epoch FROM rollcall.generations WHERE state = 'live'")
        .fetch_optional(connection)
        .await
}

/// The state of a generation: `building`, `built`, `live` or `retired`. `None` if it does not exist.
///
/// # Errors
/// The query failed.
pub async fn state(connection: &mut PgConnection, id: GenerationId) -> sqlx::Result<Option<GenerationState>> {
    sqlx::query_scalar(
        "SELECT state FROM rollcall.projection_generations WHERE projection = $1 AND generation = $2",
    )
    .bind(id.projection)
    .bind(id.generation)
    .fetch_optional(connection)
    .await
}

/// Declares a generation built: it has the whole log, and follows from now on.
///
/// # Errors
/// The statement failed.
pub async fn set_built(pool: &PgPool, id: GenerationId) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE rollcall.projection_generations SET state = 'built', built_at = now() \
         WHERE projection = $1 AND generation = $2 AND state = 'building'",
    )
    .bind(id.projection)
    .bind(id.generation)
    .execute(pool)
    .await
    .map(drop)
}

/// Makes a generation the live one.
///
/// # Errors
/// A statement failed.
pub async fn set_live(connection: &mut PgConnection, id: GenerationId) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE rollcall.projection_generations SET state = 'retired' WHERE projection = $1 AND state = 'live'",
    )
    .bind(id.projection)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE rollcall.projection_generations SET state = 'live', promoted_at = now(), built_at = coalesce(built_at, now()) \
         WHERE projection = $1 AND generation = $2",
    )
    .bind(id.projection)
    .bind(id.generation)
    .execute(connection)
    .await
    .map(drop)
}

/// Records the result of a comparison of two generations: the digest of both if they were equal.
///
/// # Errors
/// The statement failed.
pub async fn set_verified(
    pool: &PgPool,
    projection: &str,
    generations: [i32; 2],
    digest: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE rollcall.projection_generations SET verified_at = CASE WHEN $3::text IS NOT NULL THEN now() END, \
             differed_at = CASE WHEN $3::text IS NULL THEN now() END, digest = $3 \
         WHERE projection = $1 AND generation = ANY ($2)",
    )
    .bind(projection)
    .bind(generations.to_vec())
    .bind(digest)
    .execute(pool)
    .await
    .map(drop)
}

/// The checkpoints of a generation, by partition of `users.events`, each with Kafka's time of the
/// last folded record.
///
/// # Errors
/// The query failed.
pub async fn checkpoints(
    pool: &PgPool,
    id: GenerationId,
) -> sqlx::Result<Vec<(i32, i64, Option<OffsetDateTime>)>> {
    sqlx::query_as(
        "SELECT partition, next_offset, record_time FROM rollcall.projection_checkpoints \
         WHERE projection = $1 AND generation = $2 ORDER BY partition",
    )
    .bind(id.projection)
    .bind(id.generation)
    .fetch_all(pool)
    .await
}
