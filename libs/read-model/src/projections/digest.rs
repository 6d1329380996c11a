//! Compares two generations of a projection in a snapshot.

use super::GenerationId;
use crate::compare::{self, Digest, Snapshot};
use sqlx::AssertSqlSafe;
use std::{collections::BTreeMap, ops::Range};
use uuid::Uuid;

/// Some blocks of a table of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The generation.
    pub id: GenerationId,
    /// The table.
    pub table: String,
    blocks: Range<i64>,
}

impl Slice {
    /// The number of blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        u64::try_from(self.blocks.end - self.blocks.start).unwrap_or_default()
    }
}

/// The slices of a table.
///
/// # Errors
/// The query failed.
pub async fn slices(snapshot: &mut Snapshot, id: GenerationId, table: &str) -> sqlx::Result<Vec<Slice>> {
    let ranges = compare::ranges(snapshot, &format!("{}.{table}", id.schema())).await?;
    Ok(ranges.into_iter().map(|blocks| Slice { id, table: table.to_owned(), blocks }).collect())
}

/// The digests of a slice, by tenant.
///
/// # Errors
/// The query failed.
pub async fn slice(snapshot: &mut Snapshot, slice: &Slice) -> sqlx::Result<BTreeMap<String, Digest>> {
    let table = format!("{} t", qualified(slice));
    compare::blocks(snapshot, &table, "tenant_id", "t.*", slice.blocks.clone()).await
}

fn qualified(slice: &Slice) -> String {
    format!("{}.{}", slice.id.schema(), slice.table)
}

/// A user that differs: the columns, and whether each generation has other rows of the user.
pub type DifferingUser = (String, Uuid, Vec<String>, bool, bool);

/// The users of a tenant whose rows differ, up to `limit`. No columns are named if one generation
/// has no other rows of the user. Empty if the table has no column `user_id`.
///
/// # Errors
/// The query failed.
pub async fn differing_users(
    snapshot: &mut Snapshot,
    [live, other]: [GenerationId; 2],
    table: &str,
    tenant: &str,
    limit: i64,
) -> sqlx::Result<Vec<DifferingUser>> {
    let has_users = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = 'user_id' \
         AND atttypid = 'uuid'::regtype)";
    let live = format!("{}.{table}", live.schema());
    if !sqlx::query_scalar(has_users).bind(&live).fetch_one(&mut snapshot.0).await? {
        return Ok(Vec::new());
    }
    let other = format!("{}.{table}", other.schema());
    let fields = differing_columns(snapshot, &live).await?;
    let sql = format!(
        "SELECT tenant_id, user_id, CASE WHEN bool_or(in_live) AND bool_or(NOT in_live) THEN {fields} ELSE '{{}}' END, \
             bool_or(in_live), bool_or(NOT in_live) FROM ( \
             (SELECT *, true AS in_live FROM (SELECT * FROM {live} WHERE tenant_id = $1 EXCEPT SELECT * FROM {other} WHERE tenant_id = $1) l) \
             UNION ALL \
             (SELECT *, false FROM (SELECT * FROM {other} WHERE tenant_id = $1 EXCEPT SELECT * FROM {live} WHERE tenant_id = $1) o)) d \
         GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $2"
    );
    sqlx::query_as(AssertSqlSafe(sql)).bind(tenant).bind(limit).fetch_all(&mut snapshot.0).await
}

/// An SQL array of the columns in which the rows of a user differ. All rows of the user count
/// together, because not every table has a key.
async fn differing_columns(snapshot: &mut Snapshot, table: &str) -> sqlx::Result<String> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT quote_ident(attname), quote_literal(attname) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 \
         AND NOT attisdropped AND attname NOT IN ('tenant_id', 'user_id') ORDER BY attnum",
    )
    .bind(table)
    .fetch_all(&mut snapshot.0)
    .await?;
    let differs = columns.into_iter().map(|(column, name)| {
        let values = format!("array_agg({column}::text ORDER BY {column}::text)");
        format!(
            "CASE WHEN {values} FILTER (WHERE in_live) IS DISTINCT FROM {values} FILTER (WHERE NOT in_live) THEN {name} END"
        )
    });
    Ok(format!("array_remove(ARRAY[{}]::text[], NULL)", differs.collect::<Vec<_>>().join(", ")))
}

const ARE_ALIGNED: &str = "\
SELECT NOT EXISTS (SELECT FROM \
        (SELECT * FROM rollcall.projection_checkpoints WHERE projection = $1 AND generation = $2) l \
        FULL JOIN (SELECT * FROM rollcall.projection_checkpoints WHERE projection = $1 AND generation = $3) o USING (partition) \
        WHERE l.next_offset IS DISTINCT FROM o.next_offset) \
    AND NOT EXISTS (SELECT FROM \
        (SELECT * FROM rollcall.projection_waiting WHERE projection = $1 AND generation = $2) l \
        FULL JOIN (SELECT * FROM rollcall.projection_waiting WHERE projection = $1 AND generation = $3) o USING (partition, log_offset) \
        WHERE l.generation IS NULL OR o.generation IS NULL)";

/// Whether both generations are at the same offsets, and the same records wait for an operator.
///
/// # Errors
/// The query failed.
pub async fn are_aligned(snapshot: &mut Snapshot, [live, other]: [GenerationId; 2]) -> sqlx::Result<bool> {
    sqlx::query_scalar(ARE_ALIGNED)
        .bind(live.projection)
        .bind(live.generation)
        .bind(other.generation)
        .fetch_one(&mut snapshot.0)
        .await
}
