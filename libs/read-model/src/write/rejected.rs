//! Which events had no effect, for deriving analytic events.

use sqlx::PgPool;
use std::collections::{BTreeMap, HashSet};

/// Offsets of one partition of `users.events`, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetRange {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
}

/// One statement sees one state of the read model.
const REJECTED: &str = "SELECT span.partition, \
        ARRAY(SELECT r.log_offset FROM live.rejections r \
              WHERE r.partition = span.partition AND r.log_offset BETWEEN span.first AND span.last) \
    FROM UNNEST($1::int[], $2::bigint[], $3::bigint[]) AS span (partition, first, last) \
    JOIN live.checkpoints c ON c.topic = 'users' AND c.partition = span.partition AND c.next_offset > span.last";

/// The offsets without effect in each range. A partition is left out until its whole range is
/// folded.
///
/// # Errors
/// The query failed.
pub async fn offsets(pool: &PgPool, ranges: &[OffsetRange]) -> sqlx::Result<BTreeMap<i32, HashSet<i64>>> {
    let column = |get: fn(&OffsetRange) -> i64| ranges.iter().map(get).collect::<Vec<_>>();
    let rows: Vec<(i32, Vec<i64>)> = sqlx::query_as(REJECTED)
        .bind(ranges.iter().map(|range| range.partition).collect::<Vec<_>>())
        .bind(column(|range| range.first))
        .bind(column(|range| range.last))
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|(partition, offsets)| (partition, offsets.into_iter().collect())).collect())
}
