//! What the read model holds of all deleted users, and which living users need a key.

use super::user_traces::{HOLDS_RECORD, IS_PERSONAL};
use crate::generation::statement;
use events_schema::{ReasonCode, UserKey};
use futures_util::TryStreamExt as _;
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

type Row = (String, Uuid);

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

/// One statement for each place. A posting that is a living user's term is that user's. The last one finds dead letters without an owner whose record names
/// the user.
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
        "SELECT t.tenant_id, t.id FROM {g}.dead_letters d CROSS JOIN LATERAL ( \
             SELECT max(h ->> 1) FILTER (WHERE lower(h ->> 0) = 'ce_tenantid') AS tenant, \
                 max(h ->> 1) FILTER (WHERE lower(h ->> 0) = 'ce_subject') AS subject FROM jsonb_array_elements(d.headers) h) n \
         JOIN live.tombstones t ON (t.tenant_id = n.tenant AND t.id::text = lower(n.subject)) \
             OR d.key = convert_to(t.tenant_id || '/' || t.id, 'UTF8') \
         WHERE d.user_id IS NULL",
    ),
];

fn user((tenant, user): Row) -> Option<UserKey> {
    Some(UserKey { tenant: tenant.parse().ok()?, user })
}

/// All deleted users.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn all(connection: &mut PgConnection) -> sqlx::Result<HashSet<UserKey>> {
    let mut rows = sqlx::query_as("SELECT tenant_id, id FROM live.tombstones").fetch(connection);
    let mut deleted = HashSet::new();
    while let Some(row) = rows.try_next().await? {
        deleted.extend(user(row));
    }
    Ok(deleted)
}

/// Those of these users whom a generation knows as deleted.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn deleted_in(
    connection: &mut PgConnection,
    generation: i32,
    users: &[UserKey],
) -> sqlx::Result<Vec<UserKey>> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) =
        users.iter().map(|user| (user.tenant.as_str(), user.user)).unzip();
    let sql = "SELECT t.tenant_id, t.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
         JOIN {g}.tombstones t ON t.tenant_id = k.tenant_id AND t.id = k.id";
    let rows: Vec<Row> =
        sqlx::query_as(statement(sql, generation)).bind(tenants).bind(ids).fetch_all(connection).await?;
    Ok(rows.into_iter().filter_map(user).collect())
}

/// What a generation still holds of deleted users.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn remains(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Vec<(Table, UserKey)>> {
    let mut remains = Vec::new();
    for (table, template) in REMAINS {
        let template = template.replace("{personal}", IS_PERSONAL).replace("{record}", HOLDS_RECORD);
        let rows: Vec<Row> =
            sqlx::query_as(statement(&template, generation)).fetch_all(&mut *connection).await?;
        remains.extend(rows.into_iter().filter_map(user).map(|user| (table, user)));
    }
    Ok(remains)
}

/// The steps of all erasures that are not done yet.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn pending_steps(connection: &mut PgConnection) -> sqlx::Result<Vec<(UserKey, String)>> {
    let rows: Vec<(String, Uuid, String)> = sqlx::query_as(
        "SELECT tenant_id, user_id, step FROM rollcall.erasures ORDER BY tenant_id, user_id, step",
    )
    .fetch_all(connection)
    .await?;
    let step = |(tenant, id, step)| Some((user((tenant, id))?, step));
    Ok(rows.into_iter().filter_map(step).collect())
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
/// PostgreSQL can't be asked.
pub async fn living(connection: &mut PgConnection, held: &HashSet<Uuid>) -> sqlx::Result<LivingUsers> {
    let sql = "SELECT tenant_id, id, key_id FROM live.users";
    let mut rows = sqlx::query_as::<_, (String, Uuid, Option<Uuid>)>(sql).fetch(connection);
    let mut living = LivingUsers::default();
    while let Some((tenant, id, key)) = rows.try_next().await? {
        living.count += 1;
        if let Some(key) = key.filter(|key| !held.contains(key)) {
            living.without_key.extend(user((tenant, id)).map(|user| (user, key)));
        }
    }
    Ok(living)
}

/// Those of these users that live.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn still_living(connection: &mut PgConnection, users: &[UserKey]) -> sqlx::Result<Vec<UserKey>> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) =
        users.iter().map(|user| (user.tenant.as_str(), user.user)).unzip();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT u.tenant_id, u.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
         JOIN live.users u ON u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id ORDER BY 1, 2",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(user).collect())
}

/// The users with a dead letter whose reason is a missing key.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn parked_for_key(connection: &mut PgConnection) -> sqlx::Result<Vec<UserKey>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT DISTINCT tenant_id, user_id FROM live.dead_letters \
         WHERE reason = $1 AND tenant_id IS NOT NULL AND user_id IS NOT NULL ORDER BY 1, 2",
    )
    .bind(ReasonCode::KeyMissing.as_str())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(user).collect())
}
