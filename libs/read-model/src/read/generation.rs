//! Which generation is live, and which log it is folded from.

use sqlx::PgPool;

/// The live generation, and what the name of a cache key depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveGeneration {
    /// Its number.
    pub id: i32,
    /// How many partitions the topic of user events has.
    pub partitions: u32,
}

/// The live generation, if there is one with partitions.
///
/// # Errors
/// PostgreSQL fails or can't be reached.
pub async fn live(pool: &PgPool) -> sqlx::Result<Option<LiveGeneration>> {
    let row: Option<(i32, i64)> = sqlx::query_as(
        "SELECT id, (SELECT count(*) FROM live.checkpoints WHERE topic = 'users') \
         FROM rollcall.generations WHERE state = 'live'",
    )
    .fetch_optional(pool)
    .await?;
    let generation = |(id, partitions)| {
        let partitions = u32::try_from(partitions).ok().filter(|count| *count > 0)?;
        Some(LiveGeneration { id, partitions })
    };
    Ok(row.and_then(generation))
}

/// The log that the live generation is folded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedLog {
    /// Kafka's id of the topic of user events.
    pub users_topic_id: String,
    /// Kafka's id of the topic of credential events.
    pub credentials_topic_id: String,
    /// How many partitions each topic has, if that was recorded.
    pub partitions: Option<i32>,
    /// Whether a projector has stopped because it found another log in place of this one.
    pub is_halted: bool,
}

/// The log of the live generation, if there is a live one.
///
/// # Errors
/// PostgreSQL fails or can't be reached.
pub async fn folded_log(pool: &PgPool) -> sqlx::Result<Option<FoldedLog>> {
    let row: Option<(String, String, Option<i32>, bool)> = sqlx::query_as(
        "SELECT l.users_topic_id, l.credentials_topic_id, (to_jsonb(l) ->> 'partitions')::int, \
                EXISTS (SELECT FROM rollcall.pause WHERE by = 'log') \
         FROM rollcall.generations g JOIN rollcall.logs l ON l.epoch = g.log_epoch WHERE g.state = 'live'",
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(users_topic_id, credentials_topic_id, partitions, is_halted)| FoldedLog {
        users_topic_id,
        credentials_topic_id,
        partitions,
        is_halted,
    }))
}
