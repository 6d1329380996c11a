//! Generations as operators see them.

use crate::generation::{GenerationState, statement};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// The number.
    pub id: i32,
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
    /// The fold that has made it.
    pub fold_version: i32,
    /// A hash of the statements that made its tables.
    pub schema_hash: Option<String>,
    /// Whether searches use its postings.
    pub has_postings: bool,
    /// The folded offsets of both topics.
    pub folded: i64,
    /// How many offsets it is behind the live one. `None` if it is folded from another log.
    pub lag: Option<i64>,
    /// The size of its tables and indexes, in bytes.
    pub bytes: i64,
}

const LIST: &str = "\
SELECT g.id, g.state, g.created_at, g.built_at, g.verified_at, g.differed_at, g.digest, g.promoted_at, g.log_epoch, g.fold_version, g.schema_hash, g.has_postings, \
    coalesce(sum(c.next_offset), 0)::bigint AS folded, \
    CASE WHEN g.log_epoch = live.log_epoch THEN coalesce(sum(greatest(l.next_offset - c.next_offset, 0)), 0)::bigint END AS lag, \
    (SELECT coalesce(sum(pg_total_relation_size(r.oid)), 0)::bigint FROM pg_class r \
        WHERE r.relnamespace = to_regnamespace('generation_' || g.id) AND r.relkind = 'r') AS bytes \
FROM rollcall.generations g LEFT JOIN rollcall.generations live ON live.state = 'live' \
LEFT JOIN rollcall.checkpoints c ON c.generation = g.id \
LEFT JOIN rollcall.checkpoints l ON l.generation = live.id AND l.topic = c.topic AND l.partition = c.partition \
GROUP BY g.id, live.log_epoch ORDER BY g.id";

/// All generations, oldest first.
///
/// # Errors
/// The query failed.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<GenerationRow>> {
    let rows = sqlx::query(LIST).fetch_all(pool).await?;
    rows.iter().map(generation_row).collect()
}

/// The number of users of a generation.
///
/// # Errors
/// The query failed.
pub async fn users(pool: &PgPool, generation: i32) -> sqlx::Result<i64> {
    sqlx::query_scalar(statement("SELECT count(*) FROM {g}.users", generation)).fetch_one(pool).await
}

fn generation_row(row: &PgRow) -> sqlx::Result<GenerationRow> {
    Ok(GenerationRow {
        id: row.try_get("id")?,
        state: row.try_get("state")?,
        created_at: row.try_get("created_at")?,
        built_at: row.try_get("built_at")?,
        verified_at: row.try_get("verified_at")?,
        differed_at: row.try_get("differed_at")?,
        digest: row.try_get("digest")?,
        promoted_at: row.try_get("promoted_at")?,
        log_epoch: row.try_get("log_epoch")?,
        fold_version: row.try_get("fold_version")?,
        schema_hash: row.try_get("schema_hash")?,
        has_postings: row.try_get("has_postings")?,
        folded: row.try_get("folded")?,
        lag: row.try_get("lag")?,
        bytes: row.try_get("bytes")?,
    })
}

/// The generations that follow the live one, and how many offsets each is behind it: those that are
/// built or retired, and folded from the same log.
///
/// # Errors
/// The query failed.
pub async fn following(pool: &PgPool) -> sqlx::Result<Vec<(i32, i64)>> {
    sqlx::query_as(
        "SELECT g.id, sum(greatest(l.next_offset - c.next_offset, 0))::bigint \
         FROM rollcall.generations g JOIN rollcall.generations live ON live.state = 'live' AND live.log_epoch = g.log_epoch \
         JOIN rollcall.checkpoints c ON c.generation = g.id \
         JOIN rollcall.checkpoints l ON l.generation = live.id AND l.topic = c.topic AND l.partition = c.partition \
         WHERE g.state IN ('built', 'retired') GROUP BY g.id ORDER BY g.id",
    )
    .fetch_all(pool)
    .await
}

/// The newest generation with this state.
///
/// # Errors
/// The query failed.
pub async fn newest(connection: &mut PgConnection, state: GenerationState) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar("SELECT max(id) FROM rollcall.generations WHERE state = $1")
        .bind(state.as_str())
        .fetch_one(connection)
        .await
}

/// The generation that was live before the live one.
///
/// # Errors
/// The query failed.
pub async fn former(connection: &mut PgConnection) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar(
        "SELECT id FROM rollcall.generations WHERE state = 'retired' ORDER BY promoted_at DESC NULLS LAST LIMIT 1",
    )
    .fetch_optional(connection)
    .await
}

/// What a generation was made of, and whether it may be promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: GenerationState,
    /// The epoch of the log that it is folded from.
    pub log_epoch: i32,
    /// The fold that has made it.
    pub fold_version: i32,
    /// A hash of the statements that made its tables.
    pub schema_hash: Option<String>,
    /// When it was last found equal to a live one.
    pub verified_at: Option<OffsetDateTime>,
    /// When it was last found different from a live one, if it was not found equal since.
    pub differed_at: Option<OffsetDateTime>,
}

/// The standing of a generation, if it exists.
///
/// # Errors
/// The query failed.
pub async fn standing(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Option<Standing>> {
    let row = sqlx::query(
        "SELECT state, log_epoch, fold_version, schema_hash, verified_at, differed_at FROM rollcall.generations WHERE id = $1",
    )
    .bind(generation)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(standing_of).transpose()
}

fn standing_of(row: &PgRow) -> sqlx::Result<Standing> {
    Ok(Standing {
        state: row.try_get("state")?,
        log_epoch: row.try_get("log_epoch")?,
        fold_version: row.try_get("fold_version")?,
        schema_hash: row.try_get("schema_hash")?,
        verified_at: row.try_get("verified_at")?,
        differed_at: row.try_get("differed_at")?,
    })
}

/// Records the result of a comparison of two generations: the digest of both if they were equal.
///
/// # Errors
/// The statement failed.
pub async fn set_verified(pool: &PgPool, generations: [i32; 2], digest: Option<&str>) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE rollcall.generations SET verified_at = CASE WHEN $2::text IS NOT NULL THEN now() END, \
             differed_at = CASE WHEN $2::text IS NULL THEN now() END, digest = $2 WHERE id = ANY ($1)",
    )
    .bind(generations.to_vec())
    .bind(digest)
    .execute(pool)
    .await
    .map(drop)
}

/// The state of a generation: `building`, `built`, `live` or `retired`. `None` if it does not exist.
///
/// # Errors
/// The query failed.
pub async fn state(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Option<GenerationState>> {
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

/// The retired generations that `retired`, which was retired last, makes superfluous: of its own log
/// all others, and of a former log all but the last.
///
/// # Errors
/// The query failed.
pub async fn superseded(connection: &mut PgConnection, retired: i32) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar(
        "SELECT id FROM rollcall.generations g WHERE state = 'retired' AND id <> $1 AND EXISTS ( \
             SELECT FROM rollcall.generations o WHERE o.log_epoch = g.log_epoch AND o.state = 'retired' AND o.id <> g.id \
                 AND (o.id = $1 OR o.id > g.id)) ORDER BY id",
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
