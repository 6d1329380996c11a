//! Generations of the read model. Each generation is a schema with tables that one build of the
//! projector folded from the log.

mod fold_version;
pub mod postings;
mod state;
mod tables;

pub use fold_version::{
    FOLD_VERSION, Unreadable, check_live, check_readable, fold_version, older_fold, schema_hash,
};
pub use state::GenerationState;
pub use tables::{create_indexes, renew_views};

use crate::announcement::{self, CHANNEL};
use events_schema::Topic;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

/// The schema that holds a generation's tables.
#[must_use]
pub fn schema(generation: i32) -> String {
    format!("generation_{generation}")
}

/// A statement on a generation's tables. `{g}` stands for the schema and `{n}` for the number.
///
/// Nothing but a number goes into the text, so the statement is safe.
#[must_use]
pub fn statement(template: &str, generation: i32) -> AssertSqlSafe<String> {
    AssertSqlSafe(text(template, generation))
}

/// The text of such a statement.
#[must_use]
pub fn text(template: &str, generation: i32) -> String {
    template.replace("{g}", &schema(generation)).replace("{n}", &generation.to_string())
}

/// A statement on the tables of two generations. `{g}` and `{h}` stand for their schemas.
#[must_use]
pub fn statement_on_two(template: &str, generation: i32, other: i32) -> AssertSqlSafe<String> {
    AssertSqlSafe(text(template, generation).replace("{h}", &schema(other)))
}

/// The number of the live generation, if there is one.
///
/// # Errors
/// The query failed.
pub async fn live(connection: &mut PgConnection) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE state = 'live'")
        .fetch_optional(connection)
        .await
}

/// Creates the next generation: its tables, and checkpoints at the beginning of the log with that
/// epoch. Call it under the schema lock.
///
/// # Errors
/// A statement failed.
pub async fn create(connection: &mut PgConnection, partitions: u32, log_epoch: i32) -> sqlx::Result<i32> {
    let id = sqlx::query_scalar(
        "INSERT INTO rollcall.generations (id, state, log_epoch, fold_version, schema_hash) \
         SELECT coalesce(max(id), 0) + 1, 'building', $1, $2, $3 FROM rollcall.generations RETURNING id",
    )
    .bind(log_epoch)
    .bind(FOLD_VERSION)
    .bind(schema_hash())
    .fetch_one(&mut *connection)
    .await?;
    tables::create(connection, id).await?;
    add_checkpoints(connection, partitions).await?;
    Ok(id)
}

/// Adds missing checkpoints: one for each partition of the log that a generation is folded from.
///
/// # Errors
/// The statement failed.
pub async fn add_checkpoints(connection: &mut PgConnection, partitions: u32) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.checkpoints (generation, topic, partition) \
         SELECT g.id, t.topic, p.partition FROM rollcall.generations g JOIN rollcall.logs l ON l.epoch = g.log_epoch, \
                unnest($1::text[]) t(topic), generate_series(0, coalesce(l.partitions, $2) - 1) p(partition) \
         WHERE g.state <> 'retired' ON CONFLICT DO NOTHING",
    )
    .bind(Topic::ALL.map(Topic::as_str).to_vec())
    .bind(i32::try_from(partitions).unwrap_or(i32::MAX))
    .execute(connection)
    .await
    .map(drop)
}

/// Makes a generation the live one. States and views change together, and a notification tells
/// whoever waits for positions of the old one.
///
/// # Errors
/// A statement failed.
pub async fn set_live(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    sqlx::query("UPDATE rollcall.generations SET state = 'retired' WHERE state = 'live'")
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE rollcall.generations SET state = 'live', promoted_at = now(), built_at = coalesce(built_at, now()), \
            promotion = (SELECT coalesce(max(promotion), 0) + 1 FROM rollcall.generations) WHERE id = $1",
    )
        .bind(generation)
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(announcement::generation_promoted(generation))
        .execute(&mut *connection)
        .await?;
    tables::set_views(connection, generation).await
}

/// Declares a generation built: it has the whole log and its indexes, and follows the live one from
/// now on.
///
/// # Errors
/// The statement failed.
pub async fn set_built(pool: &PgPool, generation: i32) -> sqlx::Result<()> {
    sqlx::query("UPDATE rollcall.generations SET state = 'built', built_at = now() WHERE id = $1 AND state = 'building'")
        .bind(generation)
        .execute(pool)
        .await
        .map(drop)
}

/// Drops a generation with its tables.
///
/// # Errors
/// It is the live one, or a statement failed.
pub async fn drop_generation(connection: &mut PgConnection, generation: i32) -> anyhow::Result<()> {
    anyhow::ensure!(live(connection).await? != Some(generation), "generation {generation} is the live one");
    sqlx::raw_sql(statement("DROP SCHEMA IF EXISTS {g} CASCADE", generation))
        .execute(&mut *connection)
        .await?;
    for sql in [
        "DELETE FROM rollcall.checkpoints WHERE generation = $1",
        "DELETE FROM rollcall.generations WHERE id = $1",
    ] {
        sqlx::query(sql).bind(generation).execute(&mut *connection).await?;
    }
    Ok(())
}
