//! A generation's tables, indexes and views, each from one template.

use super::statement;
use sqlx::{PgConnection, raw_sql};

pub(super) const TABLES: &str = include_str!("tables.sql");
pub(super) const INDEXES: &str = include_str!("indexes.sql");
const VIEWS: &str = include_str!("views.sql");

/// Creates the schema and the tables.
pub(super) async fn create(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    run(connection, TABLES, generation).await
}

/// Creates the indexes. A rebuild does this after the bulk of the log is folded.
///
/// One statement after the other: a transaction around them would hold the locks of several tables,
/// and an erasure takes them in another order.
///
/// # Errors
/// A statement failed.
pub async fn create_indexes(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    for index in INDEXES.split_inclusive(';') {
        run(connection, index, generation).await?;
    }
    Ok(())
}

/// Points the views of the schema `live` at a generation.
pub(super) async fn set_views(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    run(connection, VIEWS, generation).await
}

/// Renews views that an earlier release made: without postings, or without the count of promotions.
///
/// # Errors
/// A statement failed.
pub async fn renew_views(connection: &mut PgConnection, live: i32) -> sqlx::Result<()> {
    let is_old = sqlx::query_scalar(
        "SELECT to_regclass('live.postings') IS NULL OR NOT EXISTS \
             (SELECT FROM pg_attribute WHERE attrelid = 'live.checkpoints'::regclass AND attname = 'promotion')",
    );
    if is_old.fetch_one(&mut *connection).await? { set_views(connection, live).await } else { Ok(()) }
}

async fn run(connection: &mut PgConnection, template: &str, generation: i32) -> sqlx::Result<()> {
    raw_sql(statement(template, generation)).execute(connection).await.map(drop)
}
