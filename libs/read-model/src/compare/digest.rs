//! Counts and digests of slices of a table.

use super::{Snapshot, Table};
use crate::generation::schema;
use sqlx::AssertSqlSafe;
use std::{
    collections::BTreeMap,
    ops::{AddAssign, Range},
};

/// Blocks of a slice: some 64 MiB.
const SLICE_BLOCKS: i64 = 8_192;

/// How many rows there are, and the sums of two hashes of each of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// The number of rows.
    pub rows: i64,
    sums: [u64; 2],
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        let [first, second] = &mut self.sums;
        *first = first.wrapping_add(other.sums[0]);
        *second = second.wrapping_add(other.sums[1]);
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.sums[0], self.sums[1])
    }
}

/// Some blocks of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The generation.
    pub generation: i32,
    /// The table.
    pub table: Table,
    first: i64,
    end: i64,
}

impl Slice {
    /// The number of blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        u64::try_from(self.end - self.first).unwrap_or_default()
    }
}

/// The slices of a generation's table.
///
/// # Errors
/// The query failed.
pub async fn slices(snapshot: &mut Snapshot, generation: i32, table: Table) -> sqlx::Result<Vec<Slice>> {
    let ranges = ranges(snapshot, &format!("{}.{}", schema(generation), table.name())).await?;
    Ok(ranges
        .into_iter()
        .map(|Range { start: first, end }| Slice { generation, table, first, end })
        .collect())
}

/// The blocks of a table, in slices.
pub(crate) async fn ranges(snapshot: &mut Snapshot, table: &str) -> sqlx::Result<Vec<Range<i64>>> {
    let size = "SELECT pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint";
    let blocks: i64 = sqlx::query_scalar(size).bind(table).fetch_one(&mut snapshot.0).await?;
    let step = usize::try_from(SLICE_BLOCKS).unwrap_or(usize::MAX);
    Ok((0..blocks).step_by(step).map(|first| first..blocks.min(first + SLICE_BLOCKS)).collect())
}

/// The digests of a slice, by tenant. Those of postings are under an empty name.
///
/// # Errors
/// The query failed.
pub async fn slice(
    snapshot: &mut Snapshot,
    slice: Slice,
    has_postings: bool,
) -> sqlx::Result<BTreeMap<String, Digest>> {
    let Slice { generation, table, first, end } = slice;
    let columns = [table.key(), &table.values(has_postings)].concat().join(", ");
    let name = format!("{}.{}", schema(generation), table.name());
    blocks(snapshot, &name, table.tenant(), &columns, first..end).await
}

/// The digests of some blocks of a table, by tenant. `tenant` and `columns` are SQL.
pub(crate) async fn blocks(
    snapshot: &mut Snapshot,
    table: &str,
    tenant: &str,
    columns: &str,
    blocks: Range<i64>,
) -> sqlx::Result<BTreeMap<String, Digest>> {
    let sql = format!(
        "SELECT tenant, count(*), sum(hashtextextended(r, 0)::numeric)::text, sum(hashtextextended(r, 1)::numeric)::text \
         FROM (SELECT {tenant} AS tenant, ROW({columns})::text AS r FROM {table} \
             WHERE ctid >= ('(' || $1 || ',0)')::tid AND ctid < ('(' || $2 || ',0)')::tid) rows GROUP BY 1"
    );
    let rows: Vec<(String, i64, String, String)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(blocks.start.to_string())
        .bind(blocks.end.to_string())
        .fetch_all(&mut snapshot.0)
        .await?;
    let digest = |(tenant, rows, first, second): (String, i64, String, String)| {
        (tenant, Digest { rows, sums: [low_bits(&first), low_bits(&second)] })
    };
    Ok(rows.into_iter().map(digest).collect())
}

/// The sum of 64-bit numbers, cut to its low 64 bits. A sum of less than 2^63 of them fits into 128
/// bits.
fn low_bits(sum: &str) -> u64 {
    let sum: i128 = sum.parse().unwrap_or_default();
    u64::from_le_bytes(std::array::from_fn(|n| sum.to_le_bytes()[n]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_slices_does_not_matter() {
        let digest = |rows, sum: &str| Digest { rows, sums: [low_bits(sum), low_bits("3")] };
        let parts = [digest(2, "-5"), digest(1, "18446744073709551617"), digest(4, "9223372036854775807")];
        let sum = |order: [usize; 3]| {
            let mut all = Digest::default();
            order.into_iter().for_each(|n| all += parts[n]);
            all
        };
        assert_eq!(sum([0, 1, 2]), sum([2, 0, 1]));
        assert_eq!(sum([0, 1, 2]).rows, 7);
        assert_ne!(sum([0, 1, 2]), sum([0, 1, 1]), "another row");
    }
}
