//! What the live generation holds of one user, for an export.

use events_schema::UserKey;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// A user.
#[derive(Debug)]
pub struct UserRow {
    /// The version.
    pub version: i64,
    /// When the user was created.
    pub created_at: OffsetDateTime,
    /// The body: JSON.
    pub body: String,
}

/// A credential.
#[derive(Debug)]
pub struct CredentialRow {
    /// Its id.
    pub id: Uuid,
    /// Its place in the list's order.
    pub created_at: OffsetDateTime,
    /// The last known status.
    pub status: Option<String>,
    /// The body: JSON. `None` if only a status is known so far.
    pub body: Option<String>,
}

/// A dead letter.
#[derive(Debug)]
pub struct DeadLetterRow {
    /// `users` or `credentials`.
    pub topic: String,
    /// The record's partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The reason's code.
    pub reason: String,
    /// What the code leaves open.
    pub detail: Option<String>,
    /// Since when it is a dead letter.
    pub parked_at: OffsetDateTime,
    /// The record's value.
    pub value: Option<Vec<u8>>,
}

/// The reasons for which events of `users.events` were rejected, by partition and offset.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn rejections(
    connection: &mut PgConnection,
    places: impl Iterator<Item = (i32, i64)>,
) -> sqlx::Result<BTreeMap<(i32, i64), String>> {
    let (partitions, offsets): (Vec<i32>, Vec<i64>) = places.unzip();
    let rows: Vec<(i32, i64, String)> = sqlx::query_as(
        "SELECT r.partition, r.log_offset, r.reason FROM unnest($1::int[], $2::bigint[]) e(partition, log_offset) \
         JOIN live.rejections r ON r.partition = ANY (ARRAY[e.partition]) AND r.log_offset = e.log_offset",
    )
    .bind(partitions)
    .bind(offsets)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(partition, offset, reason)| ((partition, offset), reason)).collect())
}

/// The user, if the user lives.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn user(connection: &mut PgConnection, user: &UserKey) -> sqlx::Result<Option<UserRow>> {
    let row: Option<(i64, OffsetDateTime, String)> =
        sqlx::query_as("SELECT version, created_at, body FROM live.users WHERE tenant_id = $1 AND id = $2")
            .bind(user.tenant.as_str())
            .bind(user.user)
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(version, created_at, body)| UserRow { version, created_at, body }))
}

/// The user's credentials, in the order of the list.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn credentials(connection: &mut PgConnection, user: &UserKey) -> sqlx::Result<Vec<CredentialRow>> {
    let rows: Vec<(Uuid, OffsetDateTime, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT id, created_at, status, body FROM live.credentials WHERE tenant_id = $1 AND user_id = $2 ORDER BY created_at, id",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .fetch_all(connection)
    .await?;
    let credential = |(id, created_at, status, body)| CredentialRow { id, created_at, status, body };
    Ok(rows.into_iter().map(credential).collect())
}

type DeadLetter = (String, i32, i64, String, Option<String>, OffsetDateTime, Option<Vec<u8>>);

/// The user's dead letters, in the order of the log.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn dead_letters(connection: &mut PgConnection, user: &UserKey) -> sqlx::Result<Vec<DeadLetterRow>> {
    let rows: Vec<DeadLetter> = sqlx::query_as(
        "SELECT topic, partition, log_offset, reason, detail, parked_at, value FROM live.dead_letters \
         WHERE tenant_id = $1 AND user_id = $2 ORDER BY topic DESC, partition, log_offset",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .fetch_all(connection)
    .await?;
    let letter = |(topic, partition, offset, reason, detail, parked_at, value): DeadLetter| DeadLetterRow {
        topic,
        partition,
        offset,
        reason,
        detail,
        parked_at,
        value,
    };
    Ok(rows.into_iter().map(letter).collect())
}
