//! What a log folds to: a digest for each table and tenant.

use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgPool};

/// The tables, with the column that names the tenant and those that follow from the log alone. Terms
/// are left out, because they are hashed under a secret of the read model.
pub(super) const TABLES: [(&str, &str, &str); 5] = [
    (
        "users",
        "tenant_id",
        "id, version, created_at, claims, provider_id, provider_url, subject_id, body, creation_digest, \
         log_partition, log_offset, key_id",
    ),
    ("tombstones", "tenant_id", "id, version, deleted_at, log_partition, log_offset"),
    ("credentials", "tenant_id", "user_id, id, created_at, issued, status, body, log_partition, log_offset"),
    ("rejections", "''", "partition, log_offset, reason"),
    (
        "dead_letters",
        "coalesce(tenant_id, '')",
        "topic, partition, log_offset, user_id, key, value, reason, at_home",
    ),
];

/// What the live generation holds. `recorded` says which columns count: a later release may have
/// more.
///
/// # Panics
/// A table or a column is gone.
pub async fn folded_to(database: &PgPool, recorded: &Value) -> Value {
    let mut tables = Map::new();
    for (table, description) in recorded.as_object().expect("tables") {
        let text = |name: &str| description[name].as_str().expect("a text");
        let digests = digests(database, table, text("tenant"), text("columns")).await;
        let mut description = description.clone();
        description["tenants"] = digests;
        tables.insert(table.clone(), description);
    }
    tables.into()
}

/// The tables without digests.
pub(super) fn described() -> Value {
    let described = TABLES
        .map(|(table, tenant, columns)| (table.to_owned(), json!({ "tenant": tenant, "columns": columns })));
    Map::from_iter(described).into()
}

async fn digests(database: &PgPool, table: &str, tenant: &str, columns: &str) -> Value {
    let sql = format!(
        "SELECT tenant, count(*), md5(string_agg(row, E'\\n' ORDER BY row COLLATE \"C\")) \
         FROM (SELECT {tenant} AS tenant, ROW({columns})::text AS row FROM live.{table}) rows GROUP BY 1 ORDER BY 1"
    );
    let rows: Vec<(String, i64, String)> = sqlx::query_as(AssertSqlSafe(sql))
        .fetch_all(database)
        .await
        .unwrap_or_else(|error| panic!("{table}: {error}"));
    let digests =
        rows.into_iter().map(|(tenant, rows, digest)| (tenant, json!({ "rows": rows, "digest": digest })));
    digests.collect::<Map<_, _>>().into()
}
