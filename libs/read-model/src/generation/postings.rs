//! The postings of a generation: made at once after the bulk of the log is folded, because that is
//! faster than keeping them up to date for each version of a user.

use super::statement;
use sqlx::{Connection as _, PgConnection, PgPool, raw_sql};

/// In the order of the primary key, so that its pages are filled one after the other.
const FILL: &str = "\
INSERT INTO {g}.postings (term, created_at, user_id) \
SELECT term, created_at, id FROM {g}.users, unnest(terms) term ORDER BY term, created_at, id";

/// A user that was erased meanwhile has no terms any more, but the statement above may have read the
/// row before.
const REMOVE_ERASED: &str = "\
DELETE FROM {g}.postings p USING (SELECT id FROM {g}.users WHERE terms = '{}' AND body = '') u WHERE p.user_id = u.id";

/// Fills the postings of a generation, and declares them complete. Nothing but an erasure may write
/// to the generation meanwhile. What an interrupted attempt has left is replaced.
///
/// # Errors
/// A statement failed.
pub async fn fill(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    raw_sql("SET work_mem = '64MB'").execute(&mut *connection).await?;
    raw_sql(statement("TRUNCATE {g}.postings", generation)).execute(&mut *connection).await?;
    raw_sql(statement(FILL, generation)).execute(&mut *connection).await?;
    let mut transaction = connection.begin().await?;
    // An erasure holds this row until it ends. So each one has ended, or begins after this.
    sqlx::query("SELECT FROM rollcall.generations WHERE id = $1 FOR UPDATE")
        .bind(generation)
        .execute(&mut *transaction)
        .await?;
    raw_sql(statement(REMOVE_ERASED, generation)).execute(&mut *transaction).await?;
    set_complete(&mut transaction, generation).await?;
    transaction.commit().await?;
    // Marks the pages as visible to all, so that scans need nothing but the index.
    raw_sql(statement("VACUUM {g}.postings", generation)).execute(connection).await.map(drop)
}

/// Whether the postings of a generation are complete. Until then, nobody keeps them up to date.
///
/// # Errors
/// The query failed.
pub async fn are_complete(pool: &PgPool, generation: i32) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT has_postings FROM rollcall.generations WHERE id = $1")
        .bind(generation)
        .fetch_one(pool)
        .await
}

/// Declares the postings of a generation complete, for a generation without users.
///
/// # Errors
/// The statement failed.
pub async fn set_complete(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    sqlx::query("UPDATE rollcall.generations SET has_postings = true WHERE id = $1")
        .bind(generation)
        .execute(connection)
        .await
        .map(drop)
}
