//! Which users differ between two generations, and in which fields. Never a value.

use super::{Snapshot, Table};
use crate::generation::statement_on_two;
use uuid::Uuid;

/// A user that differs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The tenant.
    pub tenant: String,
    /// The user.
    pub user: Uuid,
    /// The table.
    pub table: String,
    /// The columns that differ. Empty if one generation lacks the row.
    pub fields: Vec<String>,
    /// Whether the live generation has the row.
    pub in_live: bool,
    /// Whether the other generation has it.
    pub in_other: bool,
}

impl Difference {
    /// The first `limit` of them, and whether there are more.
    pub fn up_to(limit: usize, mut differences: Vec<Self>) -> (Vec<Self>, bool) {
        let has_more = differences.len() > limit;
        differences.truncate(limit);
        (differences, has_more)
    }
}

type Row = (String, Uuid, Vec<String>, bool, bool);

/// The rows of a tenant that differ, up to `limit`. For every table but the postings.
///
/// # Errors
/// The query failed.
pub async fn differing_rows(
    snapshot: &mut Snapshot,
    generations: [i32; 2],
    table: Table,
    tenant: &str,
    has_postings: bool,
    limit: i64,
) -> sqlx::Result<Vec<Difference>> {
    rows(snapshot, generations, table, &by_key(table, has_postings), tenant, limit).await
}

/// The users whose postings differ, up to `limit`. A posting of a user that is in neither generation
/// has no tenant.
///
/// # Errors
/// The query failed.
pub async fn differing_postings(
    snapshot: &mut Snapshot,
    generations: [i32; 2],
    limit: i64,
) -> sqlx::Result<Vec<Difference>> {
    let sql = "\
        SELECT coalesce(l.tenant_id, o.tenant_id, ''), d.user_id, '{}'::text[], bool_or(d.in_live), bool_or(NOT d.in_live) \
        FROM ((SELECT *, true AS in_live FROM (SELECT * FROM {g}.postings EXCEPT SELECT * FROM {h}.postings) only_live) \
            UNION ALL (SELECT *, false FROM (SELECT * FROM {h}.postings EXCEPT SELECT * FROM {g}.postings) only_other)) d \
        LEFT JOIN {g}.users l ON l.id = d.user_id LEFT JOIN {h}.users o ON o.id = d.user_id \
        WHERE $1 = '' GROUP BY 1, 2 LIMIT $2";
    rows(snapshot, generations, Table::Postings, sql, "", limit).await
}

/// Compares rows with the same key.
fn by_key(table: Table, has_postings: bool) -> String {
    let values = table.values(has_postings);
    let differs =
        |column: &&str| format!("CASE WHEN l.{column} IS DISTINCT FROM o.{column} THEN '{column}' END");
    let differs: Vec<String> = values.iter().map(differs).collect();
    let columns = |alias: &str| {
        let names: Vec<String> = values.iter().map(|column| format!("{alias}.{column}")).collect();
        names.join(", ")
    };
    format!(
        "SELECT tenant_id, {user}, \
            CASE WHEN l.tenant IS NULL OR o.tenant IS NULL THEN '{{}}' ELSE array_remove(ARRAY[{differs}]::text[], NULL) END, \
            l.tenant IS NOT NULL, o.tenant IS NOT NULL \
         FROM (SELECT *, tenant_id AS tenant FROM {{g}}.{name} WHERE tenant_id = $1) l \
         FULL JOIN (SELECT *, tenant_id AS tenant FROM {{h}}.{name} WHERE tenant_id = $1) o USING ({key}) \
         WHERE l.tenant IS NULL OR o.tenant IS NULL OR ({left}) IS DISTINCT FROM ({right}) ORDER BY 1, 2 LIMIT $2",
        user = table.user(),
        differs = differs.join(", "),
        name = table.name(),
        key = table.key().join(", "),
        left = columns("l"),
        right = columns("o"),
    )
}

async fn rows(
    snapshot: &mut Snapshot,
    [live, other]: [i32; 2],
    table: Table,
    sql: &str,
    tenant: &str,
    limit: i64,
) -> sqlx::Result<Vec<Difference>> {
    let rows: Vec<Row> = sqlx::query_as(statement_on_two(sql, live, other))
        .bind(tenant)
        .bind(limit)
        .fetch_all(&mut snapshot.0)
        .await?;
    let difference = |(tenant, user, fields, in_live, in_other): Row| Difference {
        tenant,
        user,
        table: table.name().to_owned(),
        fields,
        in_live,
        in_other,
    };
    Ok(rows.into_iter().map(difference).collect())
}
