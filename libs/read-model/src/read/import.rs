//! What an import reads: which rows it would repeat, and how far its topic is folded.

use events_schema::TenantId;
use sqlx::PgPool;
use uuid::Uuid;

/// A user's id and the id of its credential. For a user both are the user's id.
pub type ImportId = (Uuid, Uuid);

/// Those of the users that exist or were deleted.
///
/// Each table has a subquery of its own, because `EXISTS` might be planned as a hash over the whole
/// tenant.
///
/// # Errors
/// The database's error.
pub async fn existing_users(
    pool: &PgPool,
    tenant: &TenantId,
    ids: &[ImportId],
) -> sqlx::Result<Vec<ImportId>> {
    existing(
        pool,
        tenant,
        ids,
        "\
SELECT k.user_id, k.id FROM unnest($2::uuid[], $3::uuid[]) k(user_id, id) \
WHERE (SELECT u.version FROM live.users u WHERE u.tenant_id = $1 AND u.id = k.user_id) IS NOT NULL \
    OR (SELECT t.version FROM live.tombstones t WHERE t.tenant_id = $1 AND t.id = k.user_id) IS NOT NULL",
    )
    .await
}

/// Those of the credentials that are issued, which are the ones with a body, and those of deleted
/// users.
///
/// # Errors
/// The database's error.
pub async fn existing_credentials(
    pool: &PgPool,
    tenant: &TenantId,
    ids: &[ImportId],
) -> sqlx::Result<Vec<ImportId>> {
    existing(
        pool,
        tenant,
        ids,
        "\
SELECT k.user_id, k.id FROM unnest($2::uuid[], $3::uuid[]) k(user_id, id) \
WHERE (SELECT c.body IS NOT NULL FROM live.credentials c WHERE c.tenant_id = $1 AND c.user_id = k.user_id AND c.id = k.id) \
    OR (SELECT t.version FROM live.tombstones t WHERE t.tenant_id = $1 AND t.id = k.user_id) IS NOT NULL",
    )
    .await
}

async fn existing(
    pool: &PgPool,
    tenant: &TenantId,
    ids: &[ImportId],
    sql: &'static str,
) -> sqlx::Result<Vec<ImportId>> {
    let (users, ids): (Vec<Uuid>, Vec<Uuid>) = ids.iter().copied().unzip();
    sqlx::query_as(sql).bind(tenant.as_str()).bind(users).bind(ids).fetch_all(pool).await
}

/// How far one partition of a topic is folded into the live generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionPosition {
    /// The epoch of the log.
    pub epoch: i32,
    /// The partition.
    pub partition: i32,
    /// The first offset that is not folded.
    pub next_offset: i64,
}

/// How far a topic is folded into the live generation. `topic` is `users` or `credentials`.
///
/// # Errors
/// The database's error.
pub async fn topic_positions(pool: &PgPool, topic: &str) -> sqlx::Result<Vec<PartitionPosition>> {
    let rows: Vec<(i32, i32, i64)> =
        sqlx::query_as("SELECT log_epoch, partition, next_offset FROM live.checkpoints WHERE topic = $1")
            .bind(topic)
            .fetch_all(pool)
            .await?;
    let position = |(epoch, partition, next_offset)| PartitionPosition { epoch, partition, next_offset };
    Ok(rows.into_iter().map(position).collect())
}
