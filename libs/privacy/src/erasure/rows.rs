//! What the read model holds of a user, in every generation.

use super::report::{GenerationLook, Place, Tombstone};
use events_schema::{UserKey, millis};
use read_model::generation::schema;
use service_kit::{
    database::{self, Role},
    settings::Settings,
};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// What makes a row of users personal: what a blanked one has not got.
pub(super) const IS_PERSONAL: &str = "(u.claims <> '{}' OR u.body <> '' OR num_nonnulls(u.provider_id, u.provider_url, u.subject_id) > 0 \
    OR encode(u.creation_digest, 'hex') !~ '^(00)*$')";
/// What makes a dead letter one that holds something: a value, which a blanked one has not got.
pub(super) const HOLDS_RECORD: &str = "(coalesce(octet_length(d.value), 0) > 0)";

/// Of letters that are nobody's, those whose record names the user.
const OF_USER: &str = "\
SELECT (SELECT count(*) FROM {g}.users u WHERE u.tenant_id = $1 AND u.id = $2 AND {personal}), \
    (SELECT count(*) FROM {g}.users u WHERE u.tenant_id = $1 AND u.id = $2 AND NOT {personal}), \
    (SELECT count(*) FROM {g}.credentials WHERE tenant_id = $1 AND user_id = $2), \
    (SELECT count(*) FROM {g}.dead_letters d WHERE d.tenant_id = $1 AND d.user_id = $2 AND {record}) \
        + (SELECT count(*) FROM {g}.dead_letters d WHERE d.user_id IS NULL AND (d.key = convert_to($3, 'UTF8') \
            OR d.headers @> jsonb_build_array(jsonb_build_array('ce_tenantid', $1), jsonb_build_array('ce_subject', $2::text)))), \
    EXISTS (SELECT FROM {g}.dead_letters d WHERE d.tenant_id = $1 AND d.user_id = $2 AND d.topic = 'users' AND d.at_home), \
    EXISTS (SELECT FROM {g}.tombstones WHERE tenant_id = $1 AND id = $2)";

/// A connection that only reads, for as long as it takes.
///
/// # Errors
/// Postgres can't be reached.
pub(crate) async fn connection(settings: &Settings) -> anyhow::Result<PgConnection> {
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let mut connection = pool.acquire().await?.detach();
    connection.execute("SET statement_timeout = 0").await?;
    connection.execute("SET default_transaction_read_only = on").await?;
    Ok(connection)
}

/// Every generation whose tables are there, with its state.
pub(super) async fn generations(connection: &mut PgConnection) -> sqlx::Result<Vec<(i32, Option<String>)>> {
    sqlx::query_as(
        "SELECT s.id, g.state FROM (SELECT substring(nspname FROM '^generation_([0-9]+)$')::int AS id FROM pg_namespace) s \
         LEFT JOIN rollcall.generations g ON g.id = s.id WHERE s.id IS NOT NULL ORDER BY s.id",
    )
    .fetch_all(connection)
    .await
}

/// The user's tombstone in the live generation.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn tombstone(
    connection: &mut PgConnection,
    user: &UserKey,
) -> sqlx::Result<Option<Tombstone>> {
    let row: Option<(i64, OffsetDateTime, i32, i64)> = sqlx::query_as(
        "SELECT version, deleted_at, log_partition, log_offset FROM live.tombstones WHERE tenant_id = $1 AND id = $2",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(version, deleted_at, partition, offset)| Tombstone {
        version,
        deleted_at: millis(deleted_at),
        place: Place { partition, offset },
    }))
}

/// What a generation holds of a user.
pub(super) async fn of_user(
    connection: &mut PgConnection,
    generation: i32,
    state: Option<String>,
    user: &UserKey,
) -> sqlx::Result<GenerationLook> {
    let sql = OF_USER.replace("{g}", &schema(generation));
    let sql = sql.replace("{personal}", IS_PERSONAL).replace("{record}", HOLDS_RECORD);
    let (users, blanked, credentials, dead_letters, is_parked, is_tombstone_there) =
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(user.tenant.as_str())
            .bind(user.user)
            .bind(user.to_string())
            .fetch_one(connection)
            .await?;
    Ok(GenerationLook {
        generation,
        state,
        users,
        blanked,
        credentials,
        dead_letters,
        is_parked,
        is_tombstone_there,
    })
}

/// The steps of the user's erasure that are still to be done.
pub(super) async fn pending_steps(
    connection: &mut PgConnection,
    user: &UserKey,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT step FROM rollcall.erasures WHERE tenant_id = $1 AND user_id = $2 ORDER BY step",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .fetch_all(connection)
    .await
}

/// Up to where the live generation has folded each partition of `users.events`.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn folded(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<i32, i64>> {
    let rows: Vec<(i32, i64)> =
        sqlx::query_as("SELECT partition, next_offset FROM live.checkpoints WHERE topic = 'users'")
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().collect())
}
