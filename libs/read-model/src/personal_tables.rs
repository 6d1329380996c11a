//! The personal tables of the projections beside the users: those that carry the mark, in registered
//! generations and in those that a lost read model has left behind.

use crate::{
    generation::GenerationState,
    user_of_row::{UserRow, user_of},
};
use events_schema::UserKey;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

/// A personal table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalTable {
    /// Its schema and its name.
    name: String,
    /// The state of its generation. `None` if that is not registered.
    pub state: Option<GenerationState>,
}

impl PersonalTable {
    /// The table's name with its schema, quoted where needed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A table of a registered projection. Both names are checked there.
    pub(crate) fn of(schema: &str, table: &str) -> Self {
        Self { name: format!("{schema}.{table}"), state: None }
    }

    fn statement(&self, template: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(template.replace("{table}", &self.name))
    }
}

/// `format` quotes the names, so the texts are safe in a statement.
const TABLES: &str = "\
SELECT format('%I.%I', n.nspname, c.relname), g.state \
FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') \
JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0 AND d.description = 'personal' \
LEFT JOIN rollcall.projection_generations g ON 'projection_' || g.projection || '_' || g.generation = n.nspname \
WHERE n.nspname ^@ 'projection_' ORDER BY 1";

/// All personal tables.
///
/// # Errors
/// The query failed.
pub async fn tables(connection: &mut PgConnection) -> sqlx::Result<Vec<PersonalTable>> {
    let rows: Vec<(String, Option<GenerationState>)> = sqlx::query_as(TABLES).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(name, state)| PersonalTable { name, state }).collect())
}

/// Deletes all rows of these users, in the transaction that deletes the users. A batch of a projection
/// either sees their tombstones, or its rows are seen here.
pub(crate) async fn erase(connection: &mut PgConnection, tenants: &[&str], ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT FROM rollcall.projection_generations ORDER BY projection, generation FOR NO KEY UPDATE",
    )
    .execute(&mut *connection)
    .await?;
    for table in tables(connection).await? {
        delete(connection, &table, tenants, ids).await?;
    }
    Ok(())
}

/// Deletes all rows of these users from one table.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    table: &PersonalTable,
    tenants: &[&str],
    ids: &[Uuid],
) -> sqlx::Result<()> {
    let delete = "DELETE FROM {table} t USING unnest($1::text[], $2::uuid[]) AS gone(tenant_id, id) \
         WHERE t.tenant_id = ANY (ARRAY[gone.tenant_id]) AND t.user_id = gone.id";
    sqlx::query(table.statement(delete)).bind(tenants).bind(ids).execute(connection).await.map(drop)
}

/// The number of a user's rows in a personal table.
///
/// # Errors
/// The query failed.
pub async fn count(
    connection: &mut PgConnection,
    table: &PersonalTable,
    user: &UserKey,
) -> sqlx::Result<i64> {
    let count = table.statement("SELECT count(*) FROM {table} WHERE tenant_id = $1 AND user_id = $2");
    sqlx::query_scalar(count).bind(user.tenant.as_str()).bind(user.user).fetch_one(connection).await
}

/// A user's rows in a personal table, as JSON.
///
/// # Errors
/// The query failed.
pub async fn rows(
    connection: &mut PgConnection,
    table: &PersonalTable,
    user: &UserKey,
) -> sqlx::Result<Vec<Value>> {
    let rows = table.statement("SELECT to_jsonb(t) FROM {table} t WHERE tenant_id = $1 AND user_id = $2");
    sqlx::query_scalar(rows).bind(user.tenant.as_str()).bind(user.user).fetch_all(connection).await
}

/// The deleted users of whom a personal table still has a row.
///
/// # Errors
/// The query failed, or a row names no user.
pub async fn remains(connection: &mut PgConnection, table: &PersonalTable) -> anyhow::Result<Vec<UserKey>> {
    let remains = table.statement(
        "SELECT DISTINCT t.tenant_id, t.id FROM live.tombstones t JOIN {table} p ON p.tenant_id = t.tenant_id AND p.user_id = t.id",
    );
    let rows: Vec<UserRow> = sqlx::query_as(remains).fetch_all(connection).await?;
    rows.into_iter().map(user_of).collect()
}
