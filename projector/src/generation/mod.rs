//! Generations of the read model: each is the log, folded by one version of the code.

mod builder;
pub(crate) mod forget;
mod list;
mod promote;
mod rebuild;
mod set_aside;
mod source;

pub use list::{Generation, drop_unused, generations};
pub use rebuild::{Phase, RebuildOptions, RebuildProgress, RebuildReport, rebuild};
pub use set_aside::{Reason, SetAside};

use crate::migrate;
use read_model::announcement::{self, CHANNEL};
use sqlx::{AssertSqlSafe, PgConnection};

/// The schema of a generation's tables.
pub(crate) fn schema(generation: i32) -> String {
    format!("generation_{generation}")
}

/// The live generation, if there is one.
pub(crate) async fn live(connection: &mut PgConnection) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE state = 'live'")
        .fetch_optional(connection)
        .await
}

/// Makes the next generation, with its tables and checkpoints at the beginning of the log of that epoch.
pub(crate) async fn create(
    connection: &mut PgConnection,
    partitions: u32,
    log_epoch: i32,
) -> sqlx::Result<i32> {
    let id = sqlx::query_scalar(
        "INSERT INTO rollcall.generations (id, state, log_epoch) \
         SELECT coalesce(max(id), 0) + 1, 'building', $1 FROM rollcall.generations RETURNING id",
    )
    .bind(log_epoch)
    .fetch_one(&mut *connection)
    .await?;
    migrate::create_tables(connection, id).await?;
    add_checkpoints(connection, partitions).await?;
    Ok(id)
}

/// Adds the checkpoints that a generation has not got yet: one for each partition of its own log.
pub(crate) async fn add_checkpoints(connection: &mut PgConnection, partitions: u32) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.checkpoints (generation, topic, partition) \
         SELECT g.id, t.topic, p.partition FROM rollcall.generations g JOIN rollcall.logs l ON l.epoch = g.log_epoch, \
                unnest($1::text[]) t(topic), generate_series(0, coalesce(l.partitions, $2) - 1) p(partition) \
         WHERE g.state <> 'retired' ON CONFLICT DO NOTHING",
    )
    .bind(migrate::topics())
    .bind(i32::try_from(partitions).unwrap_or(i32::MAX))
    .execute(connection)
    .await
    .map(drop)
}

/// Makes a generation the live one: views and states together; whoever follows the progress of the one that was hears of it.
pub(crate) async fn set_live(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    sqlx::query("UPDATE rollcall.generations SET state = 'retired' WHERE state = 'live'")
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE rollcall.generations SET state = 'live', promoted_at = now() WHERE id = $1")
        .bind(generation)
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(announcement::generation_promoted(generation))
        .execute(&mut *connection)
        .await?;
    migrate::set_views(connection, generation).await
}

/// Drops a generation that is not the live one, with its tables.
///
/// # Errors
/// It is live, or Postgres can't be reached.
pub async fn drop_generation(connection: &mut PgConnection, generation: i32) -> anyhow::Result<()> {
    anyhow::ensure!(live(connection).await? != Some(generation), "generation {generation} is the live one");
    let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(generation));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    for sql in [
        "DELETE FROM rollcall.checkpoints WHERE generation = $1",
        "DELETE FROM rollcall.generations WHERE id = $1",
    ] {
        sqlx::query(sql).bind(generation).execute(&mut *connection).await?;
    }
    Ok(())
}
