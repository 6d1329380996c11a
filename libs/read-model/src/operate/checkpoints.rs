//! The checkpoints of the live generation.

use events_schema::Partition;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A checkpoint of the live generation: generation, topic, partition, next offset, epoch, Kafka's time of
/// the last record, the owner, and since when it owns the partition.
pub type Checkpoint =
    (i32, String, i32, i64, i64, Option<OffsetDateTime>, Option<String>, Option<OffsetDateTime>);

/// The checkpoints of the live generation, `users` first.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn live(pool: &PgPool) -> sqlx::Result<Vec<Checkpoint>> {
    sqlx::query_as(
        "SELECT c.generation, c.topic, c.partition, c.next_offset, c.epoch, c.record_time, c.owner, c.owned_since \
         FROM rollcall.checkpoints c \
         JOIN rollcall.generations g ON g.id = c.generation AND g.state = 'live' ORDER BY c.topic DESC, c.partition",
    )
    .fetch_all(pool)
    .await
}

/// The next offset to fold of each partition of `users.events`, in the live generation.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn users_next_offsets(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<i32, i64>> {
    let rows: Vec<(i32, i64)> =
        sqlx::query_as("SELECT partition, next_offset FROM live.checkpoints WHERE topic = 'users'")
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().collect())
}

/// Moves the checkpoint of a partition.
///
/// # Errors
/// The statement failed.
pub async fn set_next_offset(
    connection: &mut PgConnection,
    generation: i32,
    (topic, partition): Partition,
    next_offset: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE rollcall.checkpoints SET next_offset = $4 WHERE generation = $1 AND topic = $2 AND partition = $3",
    )
    .bind(generation)
    .bind(topic.as_str())
    .bind(partition)
    .bind(next_offset)
    .execute(connection)
    .await
    .map(drop)
}
