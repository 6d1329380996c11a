//! What R6 is measured against: PostgreSQL copies the rows of a generation into tables without
//! indexes, and then makes the same indexes.

use crate::twin::live_generation;
use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::time::{Duration, Instant};

/// The tables that a rebuild fills.
const TABLES: [&str; 4] = ["users", "postings", "tombstones", "credentials"];
const SCHEMA: &str = "raw_copy";
/// Bytes that are sent at once.
const CHUNK: usize = 1 << 20;

/// Copies the rows of the live generation: how long copying in and indexing took.
pub(super) async fn copy(database_url: &str) -> anyhow::Result<Duration> {
    let mut connection = PgConnection::connect(database_url).await?;
    let source = format!("generation_{}", live_generation(&mut connection).await?);
    let indexes: Vec<String> =
        sqlx::query_scalar("SELECT replace(indexdef, $1 || '.', $2 || '.') FROM pg_indexes WHERE schemaname = $1 AND tablename = ANY ($3)")
            .bind(&source)
            .bind(SCHEMA)
            .bind(TABLES)
            .fetch_all(&mut connection)
            .await?;
    run(&mut connection, format!("CREATE SCHEMA {SCHEMA}")).await?;
    let mut rows = Vec::new();
    for table in TABLES {
        run(&mut connection, format!("CREATE TABLE {SCHEMA}.{table} (LIKE {source}.{table})")).await?;
        let text = format!("COPY {source}.{table} TO STDOUT (FORMAT binary)");
        let mut copied = Vec::new();
        let mut chunks = connection.copy_out_raw(&text).await?;
        while let Some(chunk) = chunks.try_next().await? {
            copied.extend_from_slice(&chunk);
        }
        drop(chunks);
        rows.push((table, copied));
    }
    let began = Instant::now();
    for (table, rows) in &rows {
        let mut copy =
            connection.copy_in_raw(&format!("COPY {SCHEMA}.{table} FROM STDIN (FORMAT binary)")).await?;
        for chunk in rows.chunks(CHUNK) {
            copy.send(chunk).await?;
        }
        copy.finish().await?;
    }
    for index in indexes {
        run(&mut connection, index).await?;
    }
    run(&mut connection, format!("ANALYZE {SCHEMA}.users")).await?;
    let took = began.elapsed();
    run(&mut connection, format!("DROP SCHEMA {SCHEMA} CASCADE")).await?;
    connection.close().await?;
    Ok(took)
}

async fn run(connection: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}
