//! The tables of the CRUD twins: copies of the service's, with its rows and its indexes.
//!
//! The service searches by a table of postings, which is not copied. So `crud` can't search. The
//! table of `searchable` has the index that PostgreSQL itself offers for that.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// The schema of `crud`. The raw figures use its table too.
pub(crate) const PLAIN: &str = "twin";
/// The schema of `searchable`.
pub(super) const SEARCHABLE: &str = "searchable_twin";
/// Reads a user. The raw figures use the same text.
pub(crate) const GET: &str = "SELECT body, version FROM users WHERE tenant_id = $1 AND id = $2";
/// Changes a user. The raw figures use the same text.
pub(crate) const UPDATE: &str = "UPDATE users SET claims = $3::jsonb, body = $4, version = version + 1 \
    WHERE tenant_id = $1 AND id = $2 RETURNING version";

/// The number of the live generation, which names the schema of its tables.
pub(crate) async fn live_generation(connection: &mut PgConnection) -> anyhow::Result<i32> {
    sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE state = 'live'")
        .fetch_one(connection)
        .await
        .context("a live generation")
}

/// Copies the users of the live generation.
pub(crate) async fn copy(database_url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    let generation = live_generation(&mut connection).await?;
    let copy = |schema| {
        format!(
            "CREATE SCHEMA {schema}; \
             CREATE TABLE {schema}.users (LIKE generation_{generation}.users INCLUDING ALL); \
             INSERT INTO {schema}.users SELECT * FROM generation_{generation}.users;"
        )
    };
    let copies = format!(
        "{} {} CREATE INDEX ON {SEARCHABLE}.users USING gin (claims jsonb_path_ops); \
         ANALYZE {PLAIN}.users; ANALYZE {SEARCHABLE}.users; ANALYZE generation_{generation}.users",
        copy(PLAIN),
        copy(SEARCHABLE)
    );
    sqlx::raw_sql(AssertSqlSafe(copies)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}
