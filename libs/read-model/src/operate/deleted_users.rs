//! What the read model holds of all deleted users, and which living users need a key.

use super::user_traces::with_fragments;
use crate::{
    generation::statement,
    user_of_row::{UserRow, user_of},
};
use events_schema::{ReasonCode, UserKey};
use futures_util::TryStreamExt as _;
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// The table in which a deleted user left something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// A row of the user with personal data.
    Users,
    /// A posting.
    Postings,
    /// A credential.
    Credentials,
    /// A dead letter with a record of the user.
    DeadLetters,
}

/// One statement for each place. A posting that is a living user's term is that user's. The last
/// one finds dead letters without an owner whose record names the user.
const REMAINS: [(Table, &str); 5] = [
    (
        Table::Users,
        "SELECT t.tenant_id, t.id FROM live.tombstones t JOIN {g}.users u ON u.tenant_id = t.tenant_id AND u.id = t.id WHERE {personal}",
    ),
    (
        Table::Postings,
        "SELECT t.tenant_id, t.id FROM live.tombstones t JOIN {g}.postings p ON p.user_id = t.id \
         WHERE NOT EXISTS (SELECT FROM {g}.users u WHERE u.id = p.user_id AND p.term = ANY (u.terms))",
    ),
    (
        Table::Credentials,
        "SELECT t.tenant_id, t.id FROM live.tombstones t JOIN {g}.credentials c ON c.tenant_id = t.tenant_id AND c.user_id = t.id",
    ),
    (
        Table::DeadLetters,
        "SELECT t.tenant_id, t.id FROM live.tombstones t JOIN {g}.dead_letters d ON d.tenant_id = t.tenant_id AND d.user_id = t.id \
         WHERE {record}",
    ),
    (
        Table::DeadLetters,
        "SELECT t.tenant_id, t.id FROM {g}.dead_letters d CROSS JOIN {named_users} \
         JOIN live.tombstones t ON t.tenant_id = n.tenant_id AND t.id = n.id WHERE d.user_id IS NULL",
    ),
];

/// All deleted users.
///
/// # Errors
/// PostgreSQL can't be asked, or a row names no user.
pub async fn all(connection: &mut PgConnection) -> anyhow::Result<HashSet<UserKey>> {
    let mut rows = sqlx::query_as("SELECT tenant_id, id FROM live.tombstones").fetch(connection);
    let mut deleted = HashSet::new();
    while let Some(row) = rows.try_next().await? {
        deleted.insert(user_of(row)?);
    }
    Ok(deleted)
}

/// Those of these users whom a generation knows as deleted.
///
/// # Errors
/// PostgreSQL can't be asked, or a row names no user.
pub async fn deleted_in(
    connection: &mut PgConnection,
    generation: i32,
    users: &[UserKey],
) -> anyhow::Result<Vec<UserKey>> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) =
        users.iter().map(|user| (user.tenant.as_str(), user.user)).unzip();
    let sql = "SELECT t.tenant_id, t.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
         JOIN {g}.tombstones t ON t.tenant_id = k.tenant_id AND t.id = k.id";
    let rows: Vec<UserRow> =
        sqlx::query_as(statement(sql, generation)).bind(tenants).bind(ids).fetch_all(connection).await?;
    rows.into_iter().map(user_of).collect()
}

/// What a generation still holds of deleted users.
///
/// # Errors
/// PostgreSQL can't be asked, or a row names no user.
pub async fn remains(
    connection: &mut PgConnection,
    generation: i32,
) -> anyhow::Result<Vec<(Table, UserKey)>> {
    let mut remains = Vec::new();
    for (table, template) in REMAINS {
        let sql = statement(&with_fragments(template), generation);
        let rows: Vec<UserRow> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
        for row in rows {
            remains.push((table, user_of(row)?));
        }
    }
    Ok(remains)
}

/// The steps of all erasures that are not done yet.
///
/// # Errors
/// PostgreSQL can't be asked, or a row names no user.
pub async fn pending_steps(connection: &mut PgConnection) -> anyhow::Result<Vec<(UserKey, String)>> {
    let rows: Vec<(String, Uuid, String)> = sqlx::query_as(
        "SELECT tenant_id, user_id, step FROM rollcall.erasures ORDER BY tenant_id, user_id, step",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|(tenant, user, step)| Ok((user_of((tenant, user))?, step))).collect()
}

/// The living users, and those of them whose key is missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LivingUsers {
    /// How many users live.
    pub count: u64,
    /// Users whose key is not among the given ones, with its id.
    pub without_key: Vec<(UserKey, Uuid)>,
}

/// Counts the living users and finds those whose key is not one of `held`. A user whose events are
/// older than keys needs none.
///
/// # Errors
/// PostgreSQL can't be asked, or a row names no user.
pub async fn living(connection: &mut PgConnection, held: &HashSet<Uuid>) -> anyhow::Result<LivingUsers> {
    let sql = "SELECT tenant_id, id, key_id FROM live.users";
    let mut rows = sqlx::query_as::<_, (String, Uuid, Option<Uuid>)>(sql).fetch(connection);
    let mut living = LivingUsers::default();
    while let Some((tenant, id, key)) = rows.try_next().await? {
        living.count += 1;
        if let Some(key) = key.filter(|key| !held.contains(key)) {
            living.without_key.push((user_of((tenant, id))?, key));
        }
    }
    Ok(living)
}

/// Those of these users that live.
///
/// # Errors
/// PostgreSQL can't be asked, or a row names no user.
pub async fn still_living(connection: &mut PgConnection, users: &[UserKey]) -> anyhow::Result<Vec<UserKey>> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) =
        users.iter().map(|user| (user.tenant.as_str(), user.user)).unzip();
    let rows: Vec<UserRow> = sqlx::query_as(
        "SELECT u.tenant_id, u.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
         JOIN live.users u ON u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id ORDER BY 1, 2",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(user_of).collect()
}

/// The users with a dead letter whose reason is a missing key.
///
/// # Errors
/// PostgreSQL can't be asked, or a row names no user.
pub async fn parked_for_key(connection: &mut PgConnection) -> anyhow::Result<Vec<UserKey>> {
    let rows: Vec<UserRow> = sqlx::query_as(
        "SELECT DISTINCT tenant_id, user_id FROM live.dead_letters \
         WHERE reason = $1 AND tenant_id IS NOT NULL AND user_id IS NOT NULL ORDER BY 1, 2",
    )
    .bind(ReasonCode::KeyMissing.as_str())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(user_of).collect()
}
