//! Where the live generation stands.

use sqlx::PgPool;
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
