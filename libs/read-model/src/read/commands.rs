//! What the command service reads: a user before a write, the reason of a rejection, and which rows
//! an import would repeat.

use crate::RejectionReason;
use domain::command::User;
use events_schema::{TenantId, UserKey, personal::AuthenticationProvider};
use service_kit::position::LogPosition;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// Fails unless the tables that a write needs exist.
pub const HEALTH_CHECK: &str = "SELECT FROM live.checkpoints LIMIT 1";

/// A user as a write loads it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedUser {
    /// The user.
    pub user: User,
    /// The key that seals the last event. `None` if the event is older than keys.
    pub key_id: Option<Uuid>,
}

type UserRow = (Option<i64>, Option<Uuid>, Option<Uuid>, Option<String>, Option<String>, bool, bool);

impl From<UserRow> for LoadedUser {
    fn from((version, key_id, provider_id, url, subject_id, is_deleted, is_parked): UserRow) -> Self {
        let link = subject_id.map(|subject_id| AuthenticationProvider { provider_id, url, subject_id });
        let user = match version.and_then(|version| version.try_into().ok()) {
            _ if is_deleted => User::Deleted,
            _ if is_parked => User::Parked,
            Some(version) => User::Present { version, link },
            None => User::Unknown,
        };
        Self { user, key_id }
    }
}

/// Loads users, known or not, in the order of `keys`.
///
/// The statement is written for [`service_kit::database::by_key`]: `topic <> 'credentials'` and a
/// column that is in no index rule out other plans.
///
/// # Errors
/// The database's error.
pub async fn users(executor: impl PgExecutor<'_>, keys: &[UserKey]) -> sqlx::Result<Vec<LoadedUser>> {
    let rows: Vec<UserRow> = sqlx::query_as(
        "\
SELECT u.version, u.key_id, u.provider_id, u.provider_url, u.subject_id, t.version IS NOT NULL AS is_deleted, \
    EXISTS (SELECT FROM live.dead_letters d WHERE d.topic <> 'credentials' AND d.at_home AND d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id) AS is_parked \
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY k(tenant_id, id, n) \
LEFT JOIN live.users u ON u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id \
LEFT JOIN live.tombstones t ON t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id \
ORDER BY k.n",
    )
    .bind(keys.iter().map(|key| key.tenant.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.user).collect::<Vec<_>>())
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(LoadedUser::from).collect())
}

/// An existing user, with the digest of its creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedUser {
    /// The current version.
    pub version: u64,
    /// The current body, ready to be sent.
    pub body: String,
    /// The digest of the body that created the user.
    pub digest: Vec<u8>,
    /// The key that seals the last event. `None` if the event is older than keys.
    pub key_id: Option<Uuid>,
}

/// Reads an existing user, to compare a repeated create with it.
///
/// # Errors
/// The database's error.
pub async fn created_user(pool: &PgPool, key: &UserKey) -> sqlx::Result<Option<CreatedUser>> {
    let row: Option<(i64, String, Vec<u8>, Option<Uuid>)> = sqlx::query_as(
        "SELECT version, body, creation_digest, key_id FROM live.users WHERE tenant_id = $1 AND id = $2",
    )
    .bind(key.tenant.as_str())
    .bind(key.user)
    .fetch_optional(pool)
    .await?;
    let Some((version, body, digest, key_id)) = row else { return Ok(None) };
    let version = version.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Some(CreatedUser { version, body, digest, key_id }))
}

/// What is left of the erasure of a deleted user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingErasure {
    /// Nothing.
    None,
    /// The key, which is in another database. Most likely it is being destroyed now.
    Key,
    /// A body in a cache that does not answer.
    Body,
}

/// What is left of the erasure of a deleted user. Steps about a key come first.
///
/// # Errors
/// The database's error.
pub async fn pending_erasure(pool: &PgPool, key: &UserKey) -> sqlx::Result<PendingErasure> {
    let step: Option<String> =
        sqlx::query_scalar("SELECT max(step) FROM rollcall.erasures WHERE tenant_id = $1 AND user_id = $2")
            .bind(key.tenant.as_str())
            .bind(key.user)
            .fetch_one(pool)
            .await?;
    Ok(match step.as_deref() {
        None => PendingErasure::None,
        Some("key") => PendingErasure::Key,
        Some(_) => PendingErasure::Body,
    })
}

/// Why the event at `position` was rejected. `None` if it is not rejected, or not any more.
///
/// # Errors
/// The database's error.
pub async fn rejection_reason(pool: &PgPool, position: LogPosition) -> sqlx::Result<Option<RejectionReason>> {
    let LogPosition { epoch, at } = position;
    let reason: Option<String> = sqlx::query_scalar(
        "\
SELECT r.reason FROM live.rejections r, rollcall.generations g \
WHERE r.partition = $1 AND r.log_offset = $2 AND g.state = 'live' AND g.log_epoch = $3",
    )
    .bind(i32::try_from(at.partition).unwrap_or(-1))
    .bind(at.offset)
    .bind(i32::try_from(epoch).unwrap_or(-1))
    .fetch_optional(pool)
    .await?;
    Ok(reason.as_deref().map(RejectionReason::of_stored))
}

/// The deployment and the log of the live generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveDeployment {
    /// The deployment's id.
    pub id: Uuid,
    /// The id of the topic of user events.
    pub log: String,
    /// The epoch of that log.
    pub epoch: u32,
}

/// Reads which deployment this is and which log is live. `None` before the first migration.
///
/// # Errors
/// The database's error.
pub async fn live_deployment(pool: &PgPool) -> sqlx::Result<Option<LiveDeployment>> {
    let row: Option<(Uuid, String, i32)> = sqlx::query_as(
        "\
SELECT d.id, l.users_topic_id, l.epoch FROM rollcall.deployment d, rollcall.generations g \
JOIN rollcall.logs l ON l.epoch = g.log_epoch WHERE g.state = 'live'",
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(id, log, epoch)| LiveDeployment {
        id,
        log,
        epoch: u32::try_from(epoch).unwrap_or_default(),
    }))
}

/// The deployment's id. `None` before the first migration.
///
/// # Errors
/// The database's error.
pub async fn deployment_id(pool: &PgPool) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar("SELECT id FROM rollcall.deployment").fetch_optional(pool).await
}

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
