//! The logs that the read model knows.

use super::{Folded, Ids, Present};
use read_model::operate::logs::{self, LogRow};
use sqlx::PgConnection;

/// The log that a generation is folded from.
///
/// # Errors
/// PostgreSQL can't be queried.
pub async fn folded_log(connection: &mut PgConnection, generation: i32) -> anyhow::Result<Folded> {
    logs::of_generation(connection, generation).await?.try_into()
}

/// The log with these ids, if it was folded before. There may be no read model yet.
///
/// # Errors
/// PostgreSQL can't be queried.
pub async fn known_log(connection: &mut PgConnection, ids: &Ids) -> anyhow::Result<Option<Folded>> {
    if !logs::exist(connection).await? {
        return Ok(None);
    }
    logs::find(connection, &ids.users, &ids.credentials).await?.map(Folded::try_from).transpose()
}

/// The epoch of the log with these ids, if it was folded before. There may be no read model yet.
///
/// # Errors
/// PostgreSQL can't be queried.
pub async fn known_epoch(connection: &mut PgConnection, ids: &Ids) -> sqlx::Result<Option<i32>> {
    if !logs::exist(connection).await? {
        return Ok(None);
    }
    logs::epoch(connection, &ids.users, &ids.credentials).await
}

impl TryFrom<LogRow> for Folded {
    type Error = anyhow::Error;

    fn try_from(row: LogRow) -> anyhow::Result<Self> {
        let ids = Ids { users: row.users_topic_id, credentials: row.credentials_topic_id };
        Ok(Self { ids, partitions: row.partitions.map(u32::try_from).transpose()? })
    }
}

/// Records the number of partitions of each log that has none recorded.
///
/// # Errors
/// PostgreSQL can't be queried.
pub async fn fill_counts(connection: &mut PgConnection) -> sqlx::Result<()> {
    logs::fill_partitions(connection).await
}

/// Registers the present log as the first one, unless one is registered.
///
/// # Errors
/// PostgreSQL can't be queried.
pub async fn register_first(connection: &mut PgConnection, log: &Present) -> sqlx::Result<()> {
    logs::insert_first(connection, &log.ids.users, &log.ids.credentials).await
}

/// The epoch of a log, which is registered if it is not known yet. Call it under the schema lock.
///
/// # Errors
/// PostgreSQL can't be queried.
pub async fn register(connection: &mut PgConnection, log: &Present) -> anyhow::Result<i32> {
    let Present { ids, counts } = log;
    let partitions = i32::try_from(counts.users)?;
    Ok(logs::get_or_insert(connection, &ids.users, &ids.credentials, partitions).await?)
}
