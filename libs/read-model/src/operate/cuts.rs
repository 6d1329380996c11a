//! Recorded cuts of the log: partitions that do not begin at offset 0.

use events_schema::{Partition, Topic};
use sqlx::PgConnection;

/// A cut that an operator has accepted, or that came with a copied log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCut {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is left.
    pub first_offset: i64,
    /// Whether this is a cut of the log that the log is a copy of.
    pub copied: bool,
}

/// The recorded cuts of a log. None, if the tables do not exist yet.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn recorded(connection: &mut PgConnection, log_epoch: i32) -> sqlx::Result<Vec<RecordedCut>> {
    let exists = "SELECT to_regclass('rollcall.accepted_cuts') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(exists).fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, i32, i64, bool)> = sqlx::query_as(
        "SELECT topic, partition, max(first_offset), is_copied FROM rollcall.accepted_cuts WHERE log_epoch = $1 \
         GROUP BY topic, partition, is_copied ORDER BY topic DESC, partition",
    )
    .bind(log_epoch)
    .fetch_all(connection)
    .await?;
    let cut = |(topic, partition, first_offset, copied): (String, _, _, _)| {
        Some(RecordedCut { partition: (Topic::named(&topic)?, partition), first_offset, copied })
    };
    Ok(rows.into_iter().filter_map(cut).collect())
}

/// Records that an operator has accepted a cut. `lost_from` is the first offset that is lost without
/// having been folded, if any is.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn record_accepted(
    connection: &mut PgConnection,
    log_epoch: i32,
    (topic, partition): Partition,
    first_offset: i64,
    lost_from: Option<i64>,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.accepted_cuts (log_epoch, topic, partition, first_offset, lost_from) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(log_epoch)
    .bind(topic.as_str())
    .bind(partition)
    .bind(first_offset)
    .bind(lost_from)
    .execute(connection)
    .await
    .map(drop)
}

/// Records for a copied log a cut of the log that it was copied from.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn record_copied(
    connection: &mut PgConnection,
    log_epoch: i32,
    (topic, partition): Partition,
    first_offset: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.accepted_cuts (log_epoch, topic, partition, first_offset, is_copied) VALUES ($1, $2, $3, $4, true) \
         ON CONFLICT DO NOTHING",
    )
    .bind(log_epoch)
    .bind(topic.as_str())
    .bind(partition)
    .bind(first_offset)
    .execute(connection)
    .await
    .map(drop)
}
