//! What the read model records about the owners of keys.

use crate::{
    generation::statement,
    user_of_row::{UserRow, user_of},
};
use events_schema::{ReasonCode, UserKey, raw::Raw};
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What the live generation records about a key's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerState {
    /// The user was deleted.
    pub is_deleted: bool,
    /// The user lives, or has a dead letter, whose record the key may open.
    pub is_known: bool,
    /// The user's last event is sealed under exactly this key.
    pub is_current_key: bool,
}

const STATES: &str = "\
SELECT EXISTS (SELECT FROM live.tombstones t WHERE t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id), \
    EXISTS (SELECT FROM live.users u WHERE u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id) \
        OR EXISTS (SELECT FROM live.dead_letters d WHERE d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id), \
    EXISTS (SELECT FROM live.users u WHERE u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id AND u.key_id = k.key_id) \
FROM unnest($1::text[], $2::uuid[], $3::uuid[]) WITH ORDINALITY k(tenant_id, id, key_id, n) ORDER BY k.n";

/// Any trace of an owner in a generation's tables.
const IN_GENERATION: &str = "\
SELECT k.tenant_id, k.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
WHERE EXISTS (SELECT FROM {g}.users u WHERE u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id) \
    OR EXISTS (SELECT FROM {g}.tombstones t WHERE t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id) \
    OR EXISTS (SELECT FROM {g}.credentials c WHERE c.tenant_id = ANY (ARRAY[k.tenant_id]) AND c.user_id = k.id) \
    OR EXISTS (SELECT FROM {g}.dead_letters d WHERE d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id)";

/// Owners of discarded records.
const DISCARDED: &str = "\
SELECT k.tenant_id, k.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
WHERE EXISTS (SELECT FROM rollcall.discarded d WHERE d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id)";

/// What the live generation records about the owners of these keys, in their order. Each key is
/// given by its owner and its id.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn states(
    connection: &mut PgConnection,
    keys: &[(UserKey, Uuid)],
) -> sqlx::Result<Vec<OwnerState>> {
    let rows: Vec<(bool, bool, bool)> = sqlx::query_as(STATES)
        .bind(keys.iter().map(|(owner, _)| owner.tenant.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|(owner, _)| owner.user).collect::<Vec<_>>())
        .bind(keys.iter().map(|(_, key)| *key).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let state = |(is_deleted, is_known, is_current_key)| OwnerState { is_deleted, is_known, is_current_key };
    Ok(rows.into_iter().map(state).collect())
}

/// The registered generations.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn generations(connection: &mut PgConnection) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar("SELECT id FROM rollcall.generations ORDER BY id").fetch_all(connection).await
}

/// Those of these users of whom a generation has a trace.
///
/// # Errors
/// PostgreSQL can't be asked, or holds a bad tenant.
pub async fn in_generation(
    connection: &mut PgConnection,
    generation: i32,
    users: &[UserKey],
) -> anyhow::Result<Vec<UserKey>> {
    known(connection, statement(IN_GENERATION, generation), users).await
}

/// Those of these users whom a discarded record names.
///
/// # Errors
/// PostgreSQL can't be asked, or holds a bad tenant.
pub async fn discarded(connection: &mut PgConnection, users: &[UserKey]) -> anyhow::Result<Vec<UserKey>> {
    known(connection, AssertSqlSafe(DISCARDED.to_owned()), users).await
}

async fn known(
    connection: &mut PgConnection,
    sql: AssertSqlSafe<String>,
    users: &[UserKey],
) -> anyhow::Result<Vec<UserKey>> {
    let rows: Vec<UserRow> = sqlx::query_as(sql)
        .bind(users.iter().map(|user| user.tenant.as_str()).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.user).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(user_of).collect()
}

/// Partitions of `users.events` with a discarded record whose owner was not recorded.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn partitions_with_unknown_owners(connection: &mut PgConnection) -> sqlx::Result<BTreeSet<i32>> {
    let sql =
        "SELECT DISTINCT partition FROM rollcall.discarded WHERE topic = 'users' AND NOT is_owner_known";
    Ok(sqlx::query_scalar(sql).fetch_all(connection).await?.into_iter().collect())
}

/// The key and the headers of a generation's dead letters without an owner.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn letters_without_owner(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Vec<Raw>> {
    let template = "SELECT key, coalesce(raw_headers, headers), raw_headers IS NOT NULL FROM {g}.dead_letters WHERE user_id IS NULL";
    let rows: Vec<(Option<Vec<u8>>, serde_json::Value, bool)> =
        sqlx::query_as(statement(template, generation)).fetch_all(connection).await?;
    let raw = |(key, headers, is_raw)| Raw {
        key,
        value: None,
        headers: Raw::read_headers(headers, is_raw).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(raw).collect())
}

/// A user, and the id of the key that the user's last event needs. Any key will do if it is `None`.
pub type UserWithKey = (UserKey, Option<Uuid>);

type UserWithKeyRow = (String, Uuid, Option<Uuid>);

/// The next living users whose last event is sealed, in the order of their names.
///
/// # Errors
/// PostgreSQL can't be asked, or holds a bad tenant.
pub async fn sealed_users(
    connection: &mut PgConnection,
    after: Option<&UserKey>,
    limit: i64,
) -> anyhow::Result<Vec<UserWithKey>> {
    let rows: Vec<UserWithKeyRow> = sqlx::query_as(
        "SELECT tenant_id, id, key_id FROM live.users WHERE (tenant_id, id) > ($1, $2) AND key_id IS NOT NULL \
         ORDER BY tenant_id, id LIMIT $3",
    )
    .bind(after.map_or("", |user| user.tenant.as_str()))
    .bind(after.map_or(Uuid::nil(), |user| user.user))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(user_with_key).collect()
}

/// The users of whom nothing is folded because a key is missing.
///
/// # Errors
/// PostgreSQL can't be asked, or holds a bad tenant.
pub async fn unfolded_for_key(connection: &mut PgConnection) -> anyhow::Result<Vec<UserWithKey>> {
    let rows: Vec<UserWithKeyRow> = sqlx::query_as(
        "SELECT DISTINCT d.tenant_id, d.user_id, NULL::uuid FROM live.dead_letters d \
         WHERE d.reason = $1 AND d.tenant_id IS NOT NULL AND d.user_id IS NOT NULL \
             AND NOT EXISTS (SELECT FROM live.users u WHERE u.tenant_id = d.tenant_id AND u.id = d.user_id AND u.key_id IS NOT NULL)",
    )
    .bind(ReasonCode::KeyMissing.as_str())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(user_with_key).collect()
}

fn user_with_key((tenant, user, key): UserWithKeyRow) -> anyhow::Result<UserWithKey> {
    Ok((user_of((tenant, user))?, key))
}

/// How many of these users are not deleted.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn count_not_deleted(connection: &mut PgConnection, users: &[&UserKey]) -> sqlx::Result<i64> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) =
        users.iter().map(|user| (user.tenant.as_str(), user.user)).unzip();
    sqlx::query_scalar(
        "SELECT count(*) FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
         WHERE NOT EXISTS (SELECT FROM live.tombstones t WHERE t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id)",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_one(connection)
    .await
}
