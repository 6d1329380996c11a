//! Why a generation of a projection does not follow.

use super::GenerationId;
use sqlx::PgPool;
use time::OffsetDateTime;

/// A failure that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The projection.
    pub projection: String,
    /// The generation. 0: the first one can't be created.
    pub generation: i32,
    /// The reason, without personal data.
    pub reason: String,
    /// Partition and offset of the record that can't be folded, if it is known.
    pub record: Option<(i32, i64)>,
    /// Since when.
    pub since: OffsetDateTime,
    /// When it was last tried.
    pub last_at: OffsetDateTime,
}

type Columns = (String, i32, String, Option<i32>, Option<i64>, OffsetDateTime, OffsetDateTime);

/// Records a failure, unless the generation was dropped meanwhile. `record` is the partition and
/// offset of the record that can't be folded.
///
/// # Errors
/// The statement failed.
pub async fn set(
    pool: &PgPool,
    id: GenerationId,
    reason: &str,
    record: Option<(i32, i64)>,
) -> sqlx::Result<()> {
    let (partition, offset) = record.unzip();
    sqlx::query(
        "INSERT INTO rollcall.projection_failures (projection, generation, reason, partition, log_offset) SELECT $1, $2, $3, $4, $5 \
         WHERE $2 = 0 OR EXISTS (SELECT FROM rollcall.projection_generations g \
             WHERE g.projection = $1 AND g.generation = $2 FOR KEY SHARE) \
         ON CONFLICT (projection, generation) DO UPDATE \
         SET reason = excluded.reason, partition = excluded.partition, log_offset = excluded.log_offset, last_at = now()",
    )
    .bind(id.projection)
    .bind(id.generation)
    .bind(reason)
    .bind(partition)
    .bind(offset)
    .execute(pool)
    .await
    .map(drop)
}

/// Removes a failure, because it is over.
///
/// # Errors
/// The statement failed.
pub async fn clear(pool: &PgPool, id: GenerationId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM rollcall.projection_failures WHERE projection = $1 AND generation = $2")
        .bind(id.projection)
        .bind(id.generation)
        .execute(pool)
        .await
        .map(drop)
}

/// Removes what earlier releases have recorded of generations that are dropped.
///
/// # Errors
/// The statement failed.
pub async fn clear_dropped(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM rollcall.projection_failures f WHERE generation <> 0 AND NOT EXISTS (\
         SELECT FROM rollcall.projection_generations g WHERE g.projection = f.projection AND g.generation = f.generation)",
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The failures of all projections.
///
/// # Errors
/// The query failed.
pub async fn all(pool: &PgPool) -> sqlx::Result<Vec<Failure>> {
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT projection, generation, reason, partition, log_offset, since, last_at FROM rollcall.projection_failures \
         ORDER BY projection, generation",
    )
    .fetch_all(pool)
    .await?;
    let failure = |(projection, generation, reason, partition, offset, since, last_at): Columns| Failure {
        projection,
        generation,
        reason,
        record: partition.zip(offset),
        since,
        last_at,
    };
    Ok(rows.into_iter().map(failure).collect())
}
