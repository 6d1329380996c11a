//! The postings of a generation: made at once after the bulk of the log is folded, because that is
//! faster than keeping them up to date for each version of a user.
//!
//! They are made in another table, whose key is built last. That takes less than half of the time
//! that inserting into a table with a key takes. The table then replaces the empty one. An erasure,
//! which looks into every generation, waits for that moment at most.

use super::statement;
use sqlx::{Connection as _, PgConnection, PgPool, raw_sql};

const FILL: &str = "\
CREATE TABLE {g}.new_postings (LIKE {g}.postings); \
INSERT INTO {g}.new_postings (term, created_at, user_id) SELECT term, created_at, id FROM {g}.users, unnest(terms) term; \
ALTER TABLE {g}.new_postings ADD PRIMARY KEY (term, created_at, user_id)";

/// The settings are those of `tables.sql`, which `LIKE` does not copy. A test compares the
/// catalogs.
const REPLACE: &str = "\
DROP TABLE {g}.postings; \
ALTER TABLE {g}.new_postings RENAME TO postings; \
ALTER INDEX {g}.new_postings_pkey RENAME TO postings_pkey; \
ALTER TABLE {g}.postings SET (autovacuum_vacuum_insert_scale_factor = 0.02); \
ALTER TABLE {g}.postings ALTER COLUMN term SET STATISTICS 0, ALTER COLUMN created_at SET STATISTICS 0, \
    ALTER COLUMN user_id SET STATISTICS 0";

/// A user that was erased meanwhile has no terms any more, but the statement above may have read the
/// row before.
const REMOVE_ERASED: &str = "\
DELETE FROM {g}.postings p USING (SELECT id FROM {g}.users WHERE terms = '{}' AND body = '') u WHERE p.user_id = u.id";

/// Fills the postings of a generation, and declares them complete. Nothing but an erasure may write
/// to the generation meanwhile.
///
/// It is one transaction: an attempt that is interrupted must not leave terms in a table that no
/// erasure knows.
///
/// # Errors
/// A statement failed.
pub async fn fill(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    raw_sql("SET LOCAL maintenance_work_mem = '128MB'").execute(&mut *transaction).await?;
    raw_sql(statement(FILL, generation)).execute(&mut *transaction).await?;
    // An erasure holds this row until it ends. So each one has ended, or begins after this.
    sqlx::query("SELECT FROM rollcall.generations WHERE id = $1 FOR UPDATE")
        .bind(generation)
        .execute(&mut *transaction)
        .await?;
    raw_sql(statement(REPLACE, generation)).execute(&mut *transaction).await?;
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
