//! A user as a write needs it: its state before a decision, and the user that an earlier create
//! made.

use domain::command::User;
use events_schema::{UserKey, personal::AuthenticationProvider};
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
pub async fn load_users(executor: impl PgExecutor<'_>, keys: &[UserKey]) -> sqlx::Result<Vec<LoadedUser>> {
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
