//! The checkpoints of generations, above all of the live one.

use events_schema::{Partition, Topic};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A checkpoint of the live generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The generation.
    pub generation: i32,
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: i32,
    /// The first offset that is not folded.
    pub next_offset: i64,
    /// The owner's epoch.
    pub epoch: i64,
    /// Kafka's time of the last folded record.
    pub record_time: Option<OffsetDateTime>,
    /// The owner, if there is one.
    pub owner: Option<String>,
    /// Since when it owns the partition.
    pub owned_since: Option<OffsetDateTime>,
}

type Columns = (i32, String, i32, i64, i64, Option<OffsetDateTime>, Option<String>, Option<OffsetDateTime>);

/// The checkpoints of the live generation, `users` first.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn live(pool: &PgPool) -> sqlx::Result<Vec<CheckpointRow>> {
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT c.generation, c.topic, c.partition, c.next_offset, c.epoch, c.record_time, c.owner, c.owned_since \
         FROM rollcall.checkpoints c \
         JOIN rollcall.generations g ON g.id = c.generation AND g.state = 'live' ORDER BY c.topic DESC, c.partition",
    )
    .fetch_all(pool)
    .await?;
    let row =
        |(generation, topic, partition, next_offset, epoch, record_time, owner, owned_since): Columns| {
            let topic = Topic::named(&topic)?;
            Some(CheckpointRow {
                generation,
                topic,
                partition,
                next_offset,
                epoch,
                record_time,
                owner,
                owned_since,
            })
        };
    Ok(rows.into_iter().filter_map(row).collect())
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

/// The first offset that a generation has not folded, of each partition.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn next_offsets(
    connection: &mut PgConnection,
    generation: i32,
) -> sqlx::Result<BTreeMap<Partition, i64>> {
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(
        "SELECT topic, partition, next_offset FROM rollcall.checkpoints WHERE generation = $1",
    )
    .bind(generation)
    .fetch_all(connection)
    .await?;
    let offset =
        |(topic, partition, next): (String, i32, i64)| Some(((Topic::named(&topic)?, partition), next));
    Ok(rows.into_iter().filter_map(offset).collect())
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
