//! What the read model says of all users at once.

use super::super::{
    findings::Kind,
    rows::{HOLDS_RECORD, IS_PERSONAL},
};
use events_schema::{ReasonCode, UserKey};
use futures_util::TryStreamExt as _;
use read_model::generation::schema;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::HashSet;
use uuid::Uuid;

type Row = (String, Uuid);

/// Whose rows are left though there is a tombstone. Of letters that are nobody's, those whose record names the user.
const LEFT: [(Kind, &str); 4] = [
    (
        Kind::UserRow,
        "SELECT t.tenant_id, t.id FROM live.tombstones t JOIN {g}.users u ON u.tenant_id = t.tenant_id AND u.id = t.id WHERE {personal}",
    ),
    (
        Kind::Credentials,
        "SELECT t.tenant_id, t.id FROM live.tombstones t JOIN {g}.credentials c ON c.tenant_id = t.tenant_id AND c.user_id = t.id",
    ),
    (
        Kind::DeadLetters,
        "SELECT t.tenant_id, t.id FROM live.tombstones t JOIN {g}.dead_letters d ON d.tenant_id = t.tenant_id AND d.user_id = t.id \
         WHERE {record}",
    ),
    (
        Kind::DeadLetters,
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
pub(super) async fn tombstones(connection: &mut PgConnection) -> sqlx::Result<HashSet<UserKey>> {
    let mut rows = sqlx::query_as("SELECT tenant_id, id FROM live.tombstones").fetch(connection);
    let mut gone = HashSet::new();
    while let Some(row) = rows.try_next().await? {
        gone.extend(user(row));
    }
    Ok(gone)
}

/// What is left of deleted users in a generation.
pub(super) async fn left_in(
    connection: &mut PgConnection,
    generation: i32,
) -> sqlx::Result<Vec<(Kind, UserKey)>> {
    let mut left = Vec::new();
    for (kind, sql) in LEFT {
        let sql = sql.replace("{g}", &schema(generation));
        let sql = sql.replace("{personal}", IS_PERSONAL).replace("{record}", HOLDS_RECORD);
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
        left.extend(rows.into_iter().filter_map(user).map(|user| (kind, user)));
    }
    Ok(left)
}

/// The steps of erasures that are still to be done.
pub(super) async fn pending_steps(connection: &mut PgConnection) -> sqlx::Result<Vec<(UserKey, String)>> {
    let rows: Vec<(String, Uuid, String)> = sqlx::query_as(
        "SELECT tenant_id, user_id, step FROM rollcall.erasures ORDER BY tenant_id, user_id, step",
    )
    .fetch_all(connection)
    .await?;
    let step = |(tenant, id, step)| Some((user((tenant, id))?, step));
    Ok(rows.into_iter().filter_map(step).collect())
}

/// How many users live, and those whose key is none of these, with its id. One whose events are older than keys has none.
pub(super) async fn living(
    connection: &mut PgConnection,
    held: &HashSet<Uuid>,
) -> sqlx::Result<(u64, Vec<(UserKey, Uuid)>)> {
    let sql = "SELECT tenant_id, id, key_id FROM live.users";
    let mut rows = sqlx::query_as::<_, (String, Uuid, Option<Uuid>)>(sql).fetch(connection);
    let (mut count, mut without) = (0, Vec::new());
    while let Some((tenant, id, key)) = rows.try_next().await? {
        count += 1;
        if let Some(key) = key.filter(|key| !held.contains(key)) {
            without.extend(user((tenant, id)).map(|user| (user, key)));
        }
    }
    Ok((count, without))
}

/// Those of these users that live.
pub(super) async fn still_living(
    connection: &mut PgConnection,
    users: &[UserKey],
) -> sqlx::Result<Vec<UserKey>> {
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

/// The users whose events wait for nothing but a key.
pub(super) async fn waiting_for_keys(connection: &mut PgConnection) -> sqlx::Result<Vec<UserKey>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT DISTINCT tenant_id, user_id FROM live.dead_letters \
         WHERE reason = $1 AND tenant_id IS NOT NULL AND user_id IS NOT NULL ORDER BY 1, 2",
    )
    .bind(ReasonCode::KeyMissing.as_str())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(user).collect())
}
