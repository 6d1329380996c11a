//! The logs that generations were folded from: the ids and the number of partitions of their topics,
//! and what was discarded of their records. A log has an epoch, its number in the read model.

use events_schema::{Place, Topic};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor};
use std::collections::BTreeSet;

/// A log as the read model recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Kafka's id of the topic of users.
    pub users_topic_id: String,
    /// Kafka's id of the topic of credentials.
    pub credentials_topic_id: String,
    /// How many partitions each topic had. `None` if that is unknown.
    pub partitions: Option<i32>,
}

type Columns = (String, String, Option<i32>);

impl From<Columns> for LogRow {
    fn from((users_topic_id, credentials_topic_id, partitions): Columns) -> Self {
        Self { users_topic_id, credentials_topic_id, partitions }
    }
}

/// Replaces a missing number of partitions: the checkpoints of a generation show it. Checkpoints were
/// added when a topic got more partitions, so the smallest count is right. The column may not exist
/// yet, hence `to_jsonb`.
const PARTITIONS: &str = "coalesce((to_jsonb(l) ->> 'partitions')::int, (SELECT min(n)::int FROM (SELECT count(*) AS n FROM rollcall.checkpoints c \
    JOIN rollcall.generations o ON o.id = c.generation WHERE o.log_epoch = l.epoch AND c.topic = 'users' GROUP BY o.id) counts))";

/// Whether the table of logs exists.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn exist(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT to_regclass('rollcall.logs') IS NOT NULL").fetch_one(connection).await
}

/// Kafka's id of the topic of users in the log that the live generation is folded from.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn live_users_topic_id(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT l.users_topic_id FROM rollcall.generations g JOIN rollcall.logs l ON l.epoch = g.log_epoch WHERE g.state = 'live'",
    )
    .fetch_optional(connection)
    .await
}

/// The log that a generation is folded from.
///
/// # Errors
/// PostgreSQL can't be asked, or there is no such generation.
pub async fn of_generation(connection: &mut PgConnection, generation: i32) -> sqlx::Result<LogRow> {
    let sql = format!(
        "SELECT l.users_topic_id, l.credentials_topic_id, {PARTITIONS} AS partitions FROM rollcall.generations g \
         JOIN rollcall.logs l ON l.epoch = g.log_epoch WHERE g.id = $1"
    );
    let row: Columns = sqlx::query_as(AssertSqlSafe(sql)).bind(generation).fetch_one(connection).await?;
    Ok(row.into())
}

/// The log with these topic ids, if it was folded before.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn find(
    connection: &mut PgConnection,
    users: &str,
    credentials: &str,
) -> sqlx::Result<Option<LogRow>> {
    let sql = format!(
        "SELECT l.users_topic_id, l.credentials_topic_id, {PARTITIONS} AS partitions FROM rollcall.logs l \
         WHERE l.users_topic_id = $1 AND l.credentials_topic_id = $2"
    );
    let log = sqlx::query_as::<_, Columns>(AssertSqlSafe(sql)).bind(users).bind(credentials);
    Ok(log.fetch_optional(connection).await?.map(LogRow::from))
}

/// The epoch of the log with these topic ids, if it was folded before.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn epoch(
    connection: &mut PgConnection,
    users: &str,
    credentials: &str,
) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar(
        "SELECT epoch FROM rollcall.logs WHERE users_topic_id = $1 AND credentials_topic_id = $2",
    )
    .bind(users)
    .bind(credentials)
    .fetch_optional(connection)
    .await
}

/// The epoch of the log that a generation is folded from.
///
/// # Errors
/// PostgreSQL can't be asked, or there is no such generation.
pub async fn epoch_of_generation(connection: &mut PgConnection, generation: i32) -> sqlx::Result<i32> {
    let sql = "SELECT log_epoch FROM rollcall.generations WHERE id = $1";
    sqlx::query_scalar(sql).bind(generation).fetch_one(connection).await
}

/// Records the number of partitions of each log that has none recorded.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn fill_partitions(connection: &mut PgConnection) -> sqlx::Result<()> {
    let sql = format!("UPDATE rollcall.logs l SET partitions = {PARTITIONS} WHERE l.partitions IS NULL");
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// Records the first log, unless one is recorded.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn insert_first(connection: &mut PgConnection, users: &str, credentials: &str) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.logs (epoch, users_topic_id, credentials_topic_id) SELECT 1, $1, $2 \
         WHERE NOT EXISTS (SELECT FROM rollcall.logs)",
    )
    .bind(users)
    .bind(credentials)
    .execute(connection)
    .await
    .map(drop)
}

/// The epoch of a log, which is recorded if it is not known yet. Call it under the schema lock.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn get_or_insert(
    connection: &mut PgConnection,
    users: &str,
    credentials: &str,
    partitions: i32,
) -> sqlx::Result<i32> {
    let epoch: i32 = sqlx::query_scalar(
        "WITH entered AS (INSERT INTO rollcall.logs (epoch, users_topic_id, credentials_topic_id, partitions) \
             SELECT coalesce(max(epoch), 0) + 1, $1, $2, $3 FROM rollcall.logs ON CONFLICT DO NOTHING RETURNING epoch) \
         SELECT epoch FROM entered UNION ALL \
         SELECT epoch FROM rollcall.logs WHERE users_topic_id = $1 AND credentials_topic_id = $2",
    )
    .bind(users)
    .bind(credentials)
    .bind(partitions)
    .fetch_one(&mut *connection)
    .await?;
    // If no number is recorded, the log was never folded with another one.
    sqlx::query("UPDATE rollcall.logs SET partitions = $2 WHERE epoch = $1 AND partitions IS NULL")
        .bind(epoch)
        .bind(partitions)
        .execute(connection)
        .await?;
    Ok(epoch)
}

/// The places, partition and offset, of a topic's records that an operator has discarded.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn discarded<C: FromIterator<(i32, i64)>>(
    executor: impl PgExecutor<'_>,
    epoch: i32,
    topic: Topic,
) -> sqlx::Result<C> {
    let sql = "SELECT partition, log_offset FROM rollcall.discarded WHERE log_epoch = $1 AND topic = $2";
    let rows = sqlx::query_as(sql).bind(epoch).bind(topic.as_str()).fetch_all(executor).await?;
    Ok(rows.into_iter().collect())
}

/// The places of the records of the live generation's log that an operator has discarded.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn discarded_of_live(connection: &mut PgConnection) -> sqlx::Result<BTreeSet<Place>> {
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(
        "SELECT d.topic, d.partition, d.log_offset FROM rollcall.discarded d \
         JOIN rollcall.generations g ON g.state = 'live' AND g.log_epoch = d.log_epoch",
    )
    .fetch_all(connection)
    .await?;
    let place =
        |(topic, partition, offset): (String, _, _)| Some(((Topic::named(&topic)?, partition), offset));
    Ok(rows.into_iter().filter_map(place).collect())
}

/// A discarded record that a copy of the log holds at another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedRecord {
    /// The topic.
    pub topic: Topic,
    /// Partition and offset in the log.
    pub from: (i32, i64),
    /// Partition and offset in the copy.
    pub to: (i32, i64),
}

/// Records that a discarded record is discarded in a copy of the log too.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn copy_discarded(
    connection: &mut PgConnection,
    (from_epoch, to_epoch): (i32, i32),
    MovedRecord { topic, from, to }: MovedRecord,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.discarded (log_epoch, topic, partition, log_offset, discarded_by, discarded_at) \
         SELECT $1, topic, $2, $3, discarded_by, discarded_at FROM rollcall.discarded \
         WHERE log_epoch = $4 AND topic = $5 AND partition = $6 AND log_offset = $7 ON CONFLICT DO NOTHING",
    )
    .bind(to_epoch)
    .bind(to.0)
    .bind(to.1)
    .bind(from_epoch)
    .bind(topic.as_str())
    .bind(from.0)
    .bind(from.1)
    .execute(connection)
    .await
    .map(drop)
}
