//! The key store's statements.

use super::{Origin, Owner, wrapper::Wrapped};
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// A stored key.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) owner: Owner,
    pub(super) id: Uuid,
    pub(super) wrapped: Wrapped,
    /// When it was last requested for an owner without sealed data.
    pub(super) asked_at: OffsetDateTime,
}

type Row = (String, Uuid, Uuid, Vec<u8>, String, OffsetDateTime);

const COLUMNS: &str = "k.tenant_id, k.owner_id, k.id, k.wrapped, k.master_id, k.asked_at";

impl Stored {
    /// The additional data of its wrapping.
    pub(super) fn aad(&self) -> String {
        aad(&self.owner, self.id)
    }
}

/// The additional data that a key's wrapping is bound to.
pub(super) fn aad(owner: &Owner, id: Uuid) -> String {
    format!("{}/{}/{id}", owner.tenant, owner.id)
}

fn from_row((tenant, owner, id, bytes, master, asked_at): Row) -> Option<Stored> {
    let owner = Owner { tenant: tenant.parse().ok()?, id: owner };
    Some(Stored { owner, id, wrapped: Wrapped { master, bytes }, asked_at })
}

fn columns(owners: &[Owner]) -> (Vec<&str>, Vec<Uuid>) {
    owners.iter().map(|owner| (owner.tenant.as_str(), owner.id)).unzip()
}

/// The existing keys of these owners.
pub(super) async fn find(executor: impl PgExecutor<'_>, owners: &[Owner]) -> sqlx::Result<Vec<Stored>> {
    let (tenants, ids) = columns(owners);
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM unnest($1::text[], $2::uuid[]) o(tenant_id, owner_id) \
         JOIN rollcall_keys.data_keys k ON k.tenant_id = ANY (ARRAY[o.tenant_id]) AND k.owner_id = o.owner_id"
    )))
    .bind(tenants)
    .bind(ids)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().filter_map(from_row).collect())
}

/// Stores keys of owners that have none. Returns the keys that exist afterwards, or nothing if the
/// key store belongs to another deployment. Sorted, so that concurrent calls can't deadlock.
pub(super) async fn add(pool: &PgPool, mut keys: Vec<Stored>, origin: &Origin) -> sqlx::Result<Vec<Stored>> {
    keys.sort_unstable_by(|a, b| a.owner.cmp(&b.owner));
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "INSERT INTO rollcall_keys.data_keys AS k (tenant_id, owner_id, id, wrapped, master_id, deployment_id, log_id) \
         SELECT n.*, d.id, $7 FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bytea[], $5::text[]) n, rollcall_keys.deployment d \
         WHERE d.id = $6 ON CONFLICT (tenant_id, owner_id) DO UPDATE SET asked_at = now() RETURNING {COLUMNS}"
    )))
    .bind(keys.iter().map(|key| key.owner.tenant.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.owner.id).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.id).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.wrapped.bytes.as_slice()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.wrapped.master.as_str()).collect::<Vec<_>>())
    .bind(origin.deployment)
    .bind(&origin.log)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(from_row).collect())
}

/// A page of all keys, ordered by owner.
pub(super) async fn page(pool: &PgPool, after: Option<&Owner>, limit: i64) -> sqlx::Result<Vec<Stored>> {
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM rollcall_keys.data_keys k WHERE (tenant_id, owner_id) > ($1, $2) \
         ORDER BY tenant_id, owner_id LIMIT $3"
    )))
    .bind(after.map_or("", |owner| owner.tenant.as_str()))
    .bind(after.map_or(Uuid::nil(), |owner| owner.id))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(from_row).collect())
}

/// The number of keys under each master key.
pub(super) async fn count(pool: &PgPool) -> sqlx::Result<Vec<(String, OffsetDateTime, i64)>> {
    sqlx::query_as(
        "SELECT m.id, m.since, (SELECT count(*) FROM rollcall_keys.data_keys k WHERE k.master_id = m.id) \
             + (SELECT count(*) FROM rollcall_keys.secrets s WHERE s.master_id = m.id) \
         FROM rollcall_keys.masters m ORDER BY m.since, m.id",
    )
    .fetch_all(pool)
    .await
}

/// The total number of keys.
pub(super) async fn count_keys(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM rollcall_keys.data_keys").fetch_one(pool).await
}

/// The ids of the master keys under which something is, or may be, wrapped.
pub(super) async fn masters(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT id FROM rollcall_keys.masters ORDER BY since, id").fetch_all(executor).await
}

/// Registers a master key, so that something may be wrapped under it.
pub(super) async fn register_master(executor: impl PgExecutor<'_>, id: &str) -> sqlx::Result<()> {
    let insert = "INSERT INTO rollcall_keys.masters (id) VALUES ($1) ON CONFLICT DO NOTHING";
    sqlx::query(insert).bind(id).execute(executor).await.map(drop)
}

/// Removes every master key but one. The foreign keys prevent that while anything is wrapped under
/// another.
pub(super) async fn remove_other_masters(pool: &PgPool, current: &str) -> sqlx::Result<()> {
    let delete = "DELETE FROM rollcall_keys.masters WHERE id <> $1";
    sqlx::query(delete).bind(current).execute(pool).await.map(drop)
}

/// Keys that are wrapped under other master keys than the current one: a page ordered by owner, so
/// that an iteration visits each once.
pub(super) async fn wrapped_under_others(
    pool: &PgPool,
    current: &str,
    after: Option<&Owner>,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM rollcall_keys.data_keys k WHERE master_id <> $1 AND (tenant_id, owner_id) > ($2, $3) \
         ORDER BY tenant_id, owner_id LIMIT $4"
    )))
    .bind(current)
    .bind(after.map_or("", |owner| owner.tenant.as_str()))
    .bind(after.map_or(Uuid::nil(), |owner| owner.id))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(from_row).collect())
}

/// Replaces the wrapping of keys. A key that was destroyed meanwhile stays destroyed.
pub(super) async fn rewrap(pool: &PgPool, keys: &[(Stored, Wrapped)]) -> sqlx::Result<u64> {
    let (tenants, owners): (Vec<_>, Vec<_>) =
        keys.iter().map(|(key, _)| (key.owner.tenant.as_str(), key.owner.id)).unzip();
    let done = sqlx::query(
        "UPDATE rollcall_keys.data_keys k SET wrapped = n.wrapped, master_id = n.master_id \
         FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bytea[], $5::text[]) n(tenant_id, owner_id, id, wrapped, master_id) \
         WHERE k.tenant_id = ANY (ARRAY[n.tenant_id]) AND k.owner_id = n.owner_id AND k.id = n.id",
    )
    .bind(tenants)
    .bind(owners)
    .bind(keys.iter().map(|(key, _)| key.id).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, wrapped)| wrapped.bytes.as_slice()).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, wrapped)| wrapped.master.as_str()).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// The secret with that name.
pub(super) async fn secret(
    executor: impl PgExecutor<'_>,
    name: &str,
) -> sqlx::Result<Option<(Uuid, Wrapped)>> {
    let row: Option<(Uuid, Vec<u8>, String)> =
        sqlx::query_as("SELECT id, wrapped, master_id FROM rollcall_keys.secrets WHERE name = $1")
            .bind(name)
            .fetch_optional(executor)
            .await?;
    Ok(row.map(|(id, bytes, master)| (id, Wrapped { master, bytes })))
}

/// Stores a secret, or a new wrapping of it.
pub(super) async fn put_secret(
    executor: impl PgExecutor<'_>,
    name: &str,
    id: Uuid,
    wrapped: &Wrapped,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall_keys.secrets (name, id, wrapped, master_id) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (name) DO UPDATE SET wrapped = excluded.wrapped, master_id = excluded.master_id WHERE secrets.id = excluded.id",
    )
    .bind(name)
    .bind(id)
    .bind(&wrapped.bytes)
    .bind(&wrapped.master)
    .execute(executor)
    .await
    .map(drop)
}

/// Destroys keys; see the function in `migrations/0001_baseline.sql`.
pub(super) async fn destroy(executor: impl PgExecutor<'_>, owners: &[Owner]) -> sqlx::Result<i64> {
    let (tenants, ids) = columns(owners);
    sqlx::query_scalar("SELECT rollcall_keys.destroy($1, $2)")
        .bind(tenants)
        .bind(ids)
        .fetch_one(executor)
        .await
}

/// Whether a key is destroyed and no live process has it in its cache.
pub(super) async fn is_destroyed(pool: &PgPool, owner: &Owner, lease: f64) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT FROM rollcall_keys.data_keys WHERE tenant_id = $1 AND owner_id = $2) \
             AND NOT EXISTS (SELECT FROM rollcall_keys.dropping d JOIN rollcall_keys.caches c ON c.id = d.cache_id \
                 WHERE d.tenant_id = $1 AND d.owner_id = $2 AND c.renewed_at > clock_timestamp() - make_interval(secs => $3))",
    )
    .bind(owner.tenant.as_str())
    .bind(owner.id)
    .bind(lease)
    .fetch_one(pool)
    .await
}
