//! The table of the CRUD twin: a copy of the service's, with its rows and its indexes.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Reads a user. The raw figures use the same text.
pub(crate) const GET: &str = "SELECT body, version FROM twin.users WHERE tenant_id = $1 AND id = $2";
/// Changes a user. The raw figures use the same text.
pub(crate) const UPDATE: &str = "UPDATE twin.users SET claims = $3::jsonb, body = $4, version = version + 1 \
    WHERE tenant_id = $1 AND id = $2 RETURNING version";

/// Copies the users of the live generation.
pub(crate) async fn copy(database_url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    let generation: i32 = sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE state = 'live'")
        .fetch_one(&mut connection)
        .await
        .context("a live generation")?;
    let copy = format!(
        "CREATE SCHEMA twin; \
         CREATE TABLE twin.users (LIKE generation_{generation}.users INCLUDING ALL); \
         INSERT INTO twin.users SELECT * FROM generation_{generation}.users; \
         ANALYZE twin.users; ANALYZE generation_{generation}.users"
    );
    sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}
