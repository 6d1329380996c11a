//! What the read model holds of one user, in every generation.

use crate::generation::{GenerationState, statement};
use events_schema::UserKey;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// True for a row `u` of users that holds personal data. A blanked row holds none.
const IS_PERSONAL: &str = "(u.claims <> '{}' OR u.body <> '' OR num_nonnulls(u.provider_id, u.provider_url, u.subject_id) > 0 \
    OR u.terms <> '{}' OR encode(u.creation_digest, 'hex') !~ '^(00)*$')";
/// True for a dead letter `d` that holds a value. A blanked one holds none.
const HOLDS_RECORD: &str = "(coalesce(octet_length(d.value), 0) > 0)";
/// The users `n` whom a dead letter `d` names, in its key or in its headers. As for a reader of the
/// log, neither the letter case of a header's name counts nor that of an id. If a name occurs
/// twice, every value counts.
const NAMED_USERS: &str = "\
LATERAL (SELECT DISTINCT v.tenant_id, \
    CASE WHEN v.id ~* '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$' THEN v.id::uuid END AS id \
FROM (SELECT split_part(encode(d.key, 'escape'), '/', 1), split_part(encode(d.key, 'escape'), '/', 2) \
    UNION SELECT t ->> 1, s ->> 1 FROM jsonb_array_elements(d.headers) t, jsonb_array_elements(d.headers) s \
    WHERE lower(t ->> 0) = 'ce_tenantid' AND lower(s ->> 0) = 'ce_subject') v(tenant_id, id)) n";

/// A posting names no tenant: one that is a term of the same id in another tenant is not counted. Dead
/// letters without an owner count if their record names the user.
const TRACES: &str = "\
SELECT (SELECT count(*) FROM {g}.users u WHERE u.tenant_id = $1 AND u.id = $2 AND {personal}), \
    (SELECT count(*) FROM {g}.users u WHERE u.tenant_id = $1 AND u.id = $2 AND NOT {personal}), \
    (SELECT count(*) FROM {g}.postings p WHERE p.user_id = $2 AND NOT EXISTS \
        (SELECT FROM {g}.users u WHERE u.id = $2 AND u.tenant_id <> $1 AND p.term = ANY (u.terms))), \
    (SELECT count(*) FROM {g}.credentials WHERE tenant_id = $1 AND user_id = $2), \
    (SELECT count(*) FROM {g}.dead_letters d WHERE d.tenant_id = $1 AND d.user_id = $2 AND {record}) \
        + (SELECT count(*) FROM {g}.dead_letters d WHERE d.user_id IS NULL \
            AND EXISTS (SELECT FROM {named_users} WHERE n.tenant_id = $1 AND n.id = $2)), \
    EXISTS (SELECT FROM {g}.dead_letters d WHERE d.tenant_id = $1 AND d.user_id = $2 AND d.topic = 'users' AND d.at_home), \
    EXISTS (SELECT FROM {g}.tombstones WHERE tenant_id = $1 AND id = $2)";

/// A statement with the fragments above in their places.
pub(super) fn with_fragments(template: &str) -> String {
    let fragments = [("{personal}", IS_PERSONAL), ("{record}", HOLDS_RECORD), ("{named_users}", NAMED_USERS)];
    fragments.iter().fold(template.to_owned(), |sql, (name, fragment)| sql.replace(name, fragment))
}

/// What one generation holds of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserTraces {
    /// Rows of the user with personal data.
    pub users: i64,
    /// Rows of the user without personal data.
    pub blanked: i64,
    /// Postings of the user.
    pub postings: i64,
    /// Rows of the user's credentials.
    pub credentials: i64,
    /// Dead letters with a record of the user.
    pub dead_letters: i64,
    /// Whether the user is parked.
    pub is_parked: bool,
    /// Whether the user's tombstone is there.
    pub has_tombstone: bool,
}

/// A tombstone of the live generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TombstoneRow {
    /// The version of the deletion.
    pub version: i64,
    /// When the user was deleted.
    pub deleted_at: OffsetDateTime,
    /// The partition of the deletion's event.
    pub partition: i32,
    /// The offset of the deletion's event.
    pub offset: i64,
}

/// Every generation whose tables exist, with its state. The state is `None` if the generation is
/// not registered any more.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn generations(connection: &mut PgConnection) -> sqlx::Result<Vec<(i32, Option<GenerationState>)>> {
    sqlx::query_as(
        "SELECT s.id, g.state FROM (SELECT substring(nspname FROM '^generation_([0-9]+)$')::int AS id FROM pg_namespace) s \
         LEFT JOIN rollcall.generations g ON g.id = s.id WHERE s.id IS NOT NULL ORDER BY s.id",
    )
    .fetch_all(connection)
    .await
}

/// What a generation holds of a user.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn traces(
    connection: &mut PgConnection,
    generation: i32,
    user: &UserKey,
) -> sqlx::Result<UserTraces> {
    let template = with_fragments(TRACES);
    let (users, blanked, postings, credentials, dead_letters, is_parked, has_tombstone) =
        sqlx::query_as(statement(&template, generation))
            .bind(user.tenant.as_str())
            .bind(user.user)
            .fetch_one(connection)
            .await?;
    Ok(UserTraces { users, blanked, postings, credentials, dead_letters, is_parked, has_tombstone })
}

/// The user's tombstone in the live generation.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn tombstone(connection: &mut PgConnection, user: &UserKey) -> sqlx::Result<Option<TombstoneRow>> {
    let row: Option<(i64, OffsetDateTime, i32, i64)> = sqlx::query_as(
        "SELECT version, deleted_at, log_partition, log_offset FROM live.tombstones WHERE tenant_id = $1 AND id = $2",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(version, deleted_at, partition, offset)| TombstoneRow {
        version,
        deleted_at,
        partition,
        offset,
    }))
}

/// The steps of the user's erasure that are not done yet.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn pending_steps(connection: &mut PgConnection, user: &UserKey) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT step FROM rollcall.erasures WHERE tenant_id = $1 AND user_id = $2 ORDER BY step",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .fetch_all(connection)
    .await
}
