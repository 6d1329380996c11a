//! Pending steps of erasures: what a commit could not do itself, because a key is in another
//! database or the cache did not answer.

use events_schema::UserKey;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// The most steps that are loaded at once.
pub const MAX_STEPS: usize = 1_000;
/// The version of a user without a tombstone: higher than any real one.
const UNKNOWN_VERSION: u64 = u64::MAX >> 12;

/// What is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasureStep {
    /// Destroying the user's data key.
    Key,
    /// Invalidating the user's cached body.
    Cache,
}

impl ErasureStep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Cache => "cache",
        }
    }
}

/// A deleted user whose cached body is still to be invalidated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedUser {
    /// The user.
    pub key: UserKey,
    /// The version of the deletion in the live generation.
    pub version: u64,
    /// Since when the step is pending.
    pub since: OffsetDateTime,
}

/// The users whose data keys are still to be destroyed, those that have waited longest first. At
/// most [`MAX_STEPS`].
///
/// # Errors
/// The query failed, or a stored tenant is invalid.
pub async fn keys(pool: &PgPool) -> anyhow::Result<Vec<UserKey>> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT tenant_id, user_id FROM rollcall.erasures WHERE step = 'key' ORDER BY since, tenant_id, user_id LIMIT $1",
    )
    .bind(i64::try_from(MAX_STEPS)?)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|(tenant, user)| Ok(UserKey { tenant: tenant.parse()?, user })).collect()
}

/// The users whose cached bodies are still to be invalidated, those that have waited longest first.
/// At most [`MAX_STEPS`], behind `after`.
///
/// # Errors
/// The query failed, or a stored tenant is invalid.
pub async fn cached_users(pool: &PgPool, after: Option<&CachedUser>) -> anyhow::Result<Vec<CachedUser>> {
    let rows: Vec<(OffsetDateTime, String, Uuid, Option<i64>)> = sqlx::query_as(
        "SELECT e.since, e.tenant_id, e.user_id, t.version FROM rollcall.erasures e \
         LEFT JOIN live.tombstones t ON t.tenant_id = e.tenant_id AND t.id = e.user_id \
         WHERE e.step = 'cache' AND ($2::timestamptz IS NULL OR (e.since, e.tenant_id, e.user_id) > ($2, $3, $4)) \
         ORDER BY e.since, e.tenant_id, e.user_id LIMIT $1",
    )
    .bind(i64::try_from(MAX_STEPS)?)
    .bind(after.map(|after| after.since))
    .bind(after.map(|after| after.key.tenant.as_str()))
    .bind(after.map(|after| after.key.user))
    .fetch_all(pool)
    .await?;
    let user = |(since, tenant, user, version): (_, String, _, Option<i64>)| {
        let version = version.and_then(|version| version.try_into().ok()).unwrap_or(UNKNOWN_VERSION);
        Ok(CachedUser { key: UserKey { tenant: tenant.parse()?, user }, version, since })
    };
    rows.into_iter().map(user).collect()
}

/// Removes a step of these users, because it is done.
///
/// # Errors
/// The statement failed.
pub async fn delete<'k>(
    pool: &PgPool,
    users: impl Iterator<Item = &'k UserKey>,
    step: ErasureStep,
) -> sqlx::Result<()> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) = users.map(|key| (key.tenant.as_str(), key.user)).unzip();
    sqlx::query(
        "DELETE FROM rollcall.erasures e USING unnest($1::text[], $2::uuid[]) d(tenant_id, user_id) \
         WHERE e.tenant_id = ANY (ARRAY[d.tenant_id]) AND e.user_id = d.user_id AND e.step = $3",
    )
    .bind(tenants)
    .bind(ids)
    .bind(step.as_str())
    .execute(pool)
    .await
    .map(drop)
}

/// The number of pending steps.
///
/// # Errors
/// The query failed.
pub async fn count(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM rollcall.erasures").fetch_one(pool).await
}
