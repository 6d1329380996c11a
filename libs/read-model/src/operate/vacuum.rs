//! Removing what deleted rows leave behind: dead rows, and the samples that the planner took of them.

use super::key_owners::generations;
use crate::{
    generation::{schema, statement},
    personal_tables,
};
use service_kit::vacuum::reclaim;
use sqlx::PgConnection;

/// A table without rows keeps its old samples, so `ANALYZE` sees a row that nobody else ever sees.
const SAMPLE: &str = "\
BEGIN; \
INSERT INTO {g}.users (tenant_id, id, version, created_at, claims, body, creation_digest, log_partition, log_offset) \
    SELECT '', '00000000-0000-0000-0000-000000000000', 0, 'epoch', '{}', '', '', -1, -1 WHERE NOT EXISTS (SELECT FROM {g}.users); \
ANALYZE {g}.users; \
DELETE FROM {g}.users WHERE tenant_id = ''; \
COMMIT; \
ANALYZE {g}.credentials, {g}.dead_letters";

/// Vacuums the tables of every generation. Returns whether nothing is left that anybody could read.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn vacuum(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let generations = generations(connection).await?;
    let tables = |generation: &i32| {
        let schema = schema(*generation);
        ["users", "postings", "credentials", "dead_letters"].map(|table| format!("{schema}.{table}"))
    };
    let mut tables: Vec<String> = generations.iter().flat_map(tables).collect();
    let personal = personal_tables::tables(connection).await?;
    tables.extend(personal.iter().map(|table| table.name().to_owned()));
    for generation in generations {
        sqlx::raw_sql(statement(SAMPLE, generation)).execute(&mut *connection).await?;
    }
    let is_whole = reclaim(connection, &tables).await?;
    // The old samples are dead rows now. Only the database's owner may vacuum them; otherwise they
    // stay until PostgreSQL's own vacuum.
    if let Err(error) = sqlx::raw_sql("VACUUM pg_catalog.pg_statistic").execute(connection).await {
        tracing::debug!(%error, "old planner samples are left to PostgreSQL's own vacuum");
    }
    Ok(is_whole)
}
