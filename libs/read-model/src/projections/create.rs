//! Creating and dropping a generation.

use super::GenerationId;
use crate::generation::GenerationState;
use anyhow::ensure;
use events_schema::{Partition, Topic};
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};
use std::collections::BTreeMap;

/// What a projection declares.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name.
    pub projection: &'static str,
    /// The version of its fold.
    pub fold_version: i32,
    /// The statements that create its tables in the schema `{p}`.
    pub sql: &'static str,
    /// All tables.
    pub tables: Vec<&'static str>,
    /// Those that hold personal data.
    pub personal_tables: Vec<&'static str>,
}

/// Where a generation begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The epoch of the log.
    pub log_epoch: i32,
    /// The first offset of each partition of `users.events`.
    pub offsets: BTreeMap<i32, i64>,
}

/// What is wrong with a table. The planner takes no samples of a personal one, since they would be
/// copies.
const FAULTS: &str = "\
SELECT CASE \
    WHEN t.declared IS NULL THEN format('the table %s is not declared', t.made) \
    WHEN t.made IS NULL THEN format('no table %s is created', t.declared) \
    WHEN NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'tenant_id' AND a.attnotnull \
            AND a.atttypid = 'text'::regtype) \
        THEN format('the table %s has no column tenant_id text NOT NULL', t.made) \
    WHEN NOT t.declared = ANY ($3) THEN NULL \
    WHEN NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'user_id' AND a.attnotnull \
            AND a.atttypid = 'uuid'::regtype) \
        THEN format('the personal table %s has no column user_id uuid NOT NULL', t.made) \
    WHEN NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary \
            AND (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(i.indkey::int[]) WITH ORDINALITY k(attnum, n) \
                JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum WHERE k.n <= 2) = ARRAY['tenant_id', 'user_id']) \
        THEN format('the primary key of the personal table %s does not begin with tenant_id, user_id', t.made) \
    WHEN EXISTS (SELECT FROM pg_constraint c WHERE c.confrelid = t.oid) OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid) \
        THEN format('the personal table %s has triggers, or another table refers to it', t.made) \
END AS fault \
FROM (SELECT d.declared, c.relname::text AS made, c.oid FROM unnest($2::text[]) d(declared) \
    FULL JOIN (SELECT * FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')) c ON c.relname = d.declared) t \
ORDER BY 1 LIMIT 1";

/// Marks a personal table, and makes the planner take no samples of it.
const MARK: &str = "\
DO $$ DECLARE c text; BEGIN \
    COMMENT ON TABLE {table} IS 'personal'; \
    FOR c IN SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 LOOP \
        EXECUTE format('ALTER TABLE {table} ALTER COLUMN %I SET STATISTICS 0', c); \
    END LOOP; \
END $$";

/// Creates the next generation: its tables, and checkpoints at the beginning of the log. Call it
/// under the schema lock.
///
/// # Errors
/// The definition contradicts itself, or a statement failed.
pub async fn create(
    connection: &mut PgConnection,
    definition: &Definition,
    beginning: &Beginning,
    state: GenerationState,
) -> anyhow::Result<i32> {
    let generation = next_number(connection, definition.projection).await?;
    let id = GenerationId { projection: definition.projection, generation };
    create_tables(connection, definition, id).await?;
    sqlx::query(
        "INSERT INTO rollcall.projection_generations (projection, generation, state, log_epoch, fold_version, tables, promoted_at) \
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $3 = 'live' THEN now() END)",
    )
    .bind(id.projection)
    .bind(generation)
    .bind(state.as_str())
    .bind(beginning.log_epoch)
    .bind(definition.fold_version)
    .bind(&definition.tables)
    .execute(&mut *connection)
    .await?;
    let (partitions, offsets): (Vec<i32>, Vec<i64>) = beginning.offsets.iter().unzip();
    sqlx::query(
        "INSERT INTO rollcall.projection_checkpoints (projection, generation, partition, next_offset) \
         SELECT $1, $2, * FROM unnest($3::int[], $4::bigint[])",
    )
    .bind(id.projection)
    .bind(generation)
    .bind(partitions)
    .bind(offsets)
    .execute(connection)
    .await?;
    Ok(generation)
}

/// Creates the first generation of a projection as the live one, if the users have a live generation and
/// the projection has none. Returns its number. Call it under the schema lock.
///
/// # Errors
/// The definition contradicts itself, or a statement failed.
pub async fn create_first(
    connection: &mut PgConnection,
    definition: &Definition,
) -> anyhow::Result<Option<i32>> {
    if super::generations::any(&mut *connection, definition.projection).await? {
        return Ok(None);
    }
    let rows: Vec<(i32, i32)> = sqlx::query_as(
        "SELECT g.log_epoch, c.partition FROM rollcall.generations g \
         JOIN rollcall.checkpoints c ON c.generation = g.id AND c.topic = 'users' WHERE g.state = 'live'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let Some((log_epoch, _)) = rows.first().copied() else { return Ok(None) };
    let offsets = rows.into_iter().map(|(_, partition)| (partition, 0)).collect();
    create(connection, definition, &Beginning { log_epoch, offsets }, GenerationState::Live).await.map(Some)
}

/// A read model that was lost may have left schemas behind. Their numbers are not used again.
async fn next_number(connection: &mut PgConnection, projection: &str) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "INSERT INTO rollcall.projections AS p (name, last_generation) \
         SELECT $1, 1 + coalesce((SELECT max(substring(nspname FROM '_([0-9]{1,9})$')::int) FROM pg_namespace \
             WHERE nspname ~ ('^projection_' || $1 || '_[0-9]{1,9}$')), 0) \
         ON CONFLICT (name) DO UPDATE SET last_generation = greatest(p.last_generation + 1, excluded.last_generation) \
         RETURNING last_generation",
    )
    .bind(projection)
    .fetch_one(connection)
    .await
}

async fn create_tables(
    connection: &mut PgConnection,
    definition: &Definition,
    id: GenerationId,
) -> anyhow::Result<()> {
    let schema = id.schema();
    let sql = format!("CREATE SCHEMA {schema}; {}", definition.sql.replace("{p}", &schema));
    raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    let fault: Option<Option<String>> = sqlx::query_scalar(FAULTS)
        .bind(&schema)
        .bind(&definition.tables)
        .bind(&definition.personal_tables)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(fault) = fault.flatten() {
        anyhow::bail!("projection {}: {fault}", id.projection);
    }
    for table in &definition.personal_tables {
        let mark = MARK.replace("{table}", &format!("{schema}.{table}"));
        raw_sql(AssertSqlSafe(mark)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The first offset of each partition of `users.events`: 0, except where the log begins later.
pub fn first_offsets<'p>(
    partitions: impl IntoIterator<Item = &'p Partition>,
    later: &BTreeMap<Partition, i64>,
) -> BTreeMap<i32, i64> {
    let of_users = partitions.into_iter().filter(|(topic, _)| *topic == Topic::Users);
    let first = |place: &Partition| (place.1, later.get(place).copied().unwrap_or_default());
    of_users.map(first).collect()
}

/// Drops a generation with its tables. Call it under the schema lock.
///
/// # Errors
/// It is the live one, or a statement failed.
pub async fn drop(connection: &mut PgConnection, id: GenerationId) -> anyhow::Result<()> {
    let state = super::generations::state(connection, id).await?;
    ensure!(state != Some(GenerationState::Live), "{id} is the live one");
    // First: a deletion that erases from its tables holds this row.
    sqlx::query("DELETE FROM rollcall.projection_generations WHERE projection = $1 AND generation = $2")
        .bind(id.projection)
        .bind(id.generation)
        .execute(&mut *connection)
        .await?;
    let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", id.schema());
    raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await?;
    for sql in [
        "DELETE FROM rollcall.projection_checkpoints WHERE projection = $1 AND generation = $2",
        "DELETE FROM rollcall.projection_waiting WHERE projection = $1 AND generation = $2",
        "DELETE FROM rollcall.projection_failures WHERE projection = $1 AND generation = $2",
    ] {
        sqlx::query(sql).bind(id.projection).bind(id.generation).execute(&mut *connection).await?;
    }
    Ok(())
}
