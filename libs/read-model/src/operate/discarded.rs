//! Discarded records: they are skipped permanently, in rebuilds too.

use events_schema::{Place, Topic};
use sqlx::PgPool;

/// The discarded records of the log that a generation is folded from.
///
/// # Errors
/// The query failed.
pub async fn of_generation(pool: &PgPool, generation: i32) -> sqlx::Result<Vec<Place>> {
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(
        "SELECT d.topic, d.partition, d.log_offset FROM rollcall.discarded d \
         JOIN rollcall.generations g ON g.id = $1 AND g.log_epoch = d.log_epoch",
    )
    .bind(generation)
    .fetch_all(pool)
    .await?;
    let place =
        |(topic, partition, offset): (String, _, _)| Some(((Topic::named(&topic)?, partition), offset));
    Ok(rows.into_iter().filter_map(place).collect())
}

/// A place in the log, as the live generation sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceState {
    /// The live generation.
    pub generation: i32,
    /// Whether it is folded beyond the place.
    pub is_folded: bool,
    /// Whether the record there is discarded.
    pub is_discarded: bool,
}

/// The state of a place; `None` if there is no live generation.
///
/// # Errors
/// The query failed.
pub async fn place_state(
    pool: &PgPool,
    ((topic, partition), offset): Place,
) -> sqlx::Result<Option<PlaceState>> {
    let row = sqlx::query_as(
        "SELECT g.id, EXISTS (SELECT FROM live.checkpoints c WHERE c.topic = $1 AND c.partition = $2 AND c.next_offset > $3), \
             EXISTS (SELECT FROM rollcall.discarded d WHERE d.log_epoch = g.log_epoch AND d.topic = $1 AND d.partition = $2 AND d.log_offset = $3) \
         FROM rollcall.generations g WHERE g.state = 'live'",
    )
    .bind(topic.as_str())
    .bind(partition)
    .bind(offset)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(generation, is_folded, is_discarded)| PlaceState { generation, is_folded, is_discarded }))
}

/// Discards a record of the live generation's log that is not stored as a dead letter.
///
/// # Errors
/// The statement failed.
pub async fn insert(pool: &PgPool, ((topic, partition), offset): Place) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.discarded (log_epoch, topic, partition, log_offset) \
         SELECT log_epoch, $1, $2, $3 FROM rollcall.generations WHERE state = 'live' ON CONFLICT DO NOTHING",
    )
    .bind(topic.as_str())
    .bind(partition)
    .bind(offset)
    .execute(pool)
    .await
    .map(drop)
}
