//! Dead letters of the live generation, for the operator's list and for requests about them.

use events_schema::{Place, ReasonCode, TenantId};
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// A dead letter without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRow {
    /// `users` or `credentials`.
    pub topic: String,
    /// The record's partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The tenant that the record names, if any.
    pub tenant: Option<String>,
    /// The user that the record names, if any.
    pub user: Option<Uuid>,
    /// The code of the reason.
    pub reason: String,
    /// What is stored beside the code.
    pub detail: Option<String>,
    /// When the record was set aside.
    pub parked_at: OffsetDateTime,
    /// Bytes of key and value.
    pub size: i32,
}

/// The dead letters of a tenant, of a user, or all of them, in the order of the log.
///
/// # Errors
/// The query failed.
pub async fn list(
    pool: &PgPool,
    tenant: Option<&TenantId>,
    user: Option<Uuid>,
) -> sqlx::Result<Vec<ListedRow>> {
    type Columns =
        (String, i32, i64, Option<String>, Option<Uuid>, String, Option<String>, OffsetDateTime, i32);
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT topic, partition, log_offset, tenant_id, user_id, reason, detail, parked_at, \
             coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) AS size \
         FROM live.dead_letters WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR user_id = $2) \
         ORDER BY topic DESC, partition, log_offset",
    )
    .bind(tenant.map(TenantId::as_str))
    .bind(user)
    .fetch_all(pool)
    .await?;
    let row = |(topic, partition, offset, tenant, user, reason, detail, parked_at, size): Columns| {
        ListedRow { topic, partition, offset, tenant, user, reason, detail, parked_at, size }
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The record of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Kafka's time of the record.
    pub time: Option<OffsetDateTime>,
    /// The headers as they are stored.
    pub headers: Value,
    /// Whether the headers are stored as bytes. Earlier releases stored them as text.
    pub are_headers_raw: bool,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// The record of the dead letter at a place, if there is one.
///
/// # Errors
/// The query failed.
pub async fn record(pool: &PgPool, ((topic, partition), offset): Place) -> sqlx::Result<Option<RecordRow>> {
    let row = sqlx::query_as(
        "SELECT record_time, coalesce(raw_headers, headers), raw_headers IS NOT NULL, key, value FROM live.dead_letters \
         WHERE topic = $1 AND partition = $2 AND log_offset = $3",
    )
    .bind(topic.as_str())
    .bind(partition)
    .bind(offset)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(time, headers, are_headers_raw, key, value)| RecordRow {
        time,
        headers,
        are_headers_raw,
        key,
        value,
    }))
}

/// The place of a dead letter, and in whose queue it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRow {
    /// `users` or `credentials`.
    pub topic: String,
    /// The record's partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The tenant that the record names, if any.
    pub tenant: Option<String>,
    /// The user that the record names, if any.
    pub user: Option<Uuid>,
    /// Whether the record lies in its user's partition, so that it is in the user's queue.
    pub is_at_home: bool,
}

type QueuedColumns = (String, i32, i64, Option<String>, Option<Uuid>, bool);

impl From<QueuedColumns> for QueuedRow {
    fn from((topic, partition, offset, tenant, user, is_at_home): QueuedColumns) -> Self {
        Self { topic, partition, offset, tenant, user, is_at_home }
    }
}

/// The dead letter at a place, if there is one.
///
/// # Errors
/// The query failed.
pub async fn at(pool: &PgPool, ((topic, partition), offset): Place) -> sqlx::Result<Option<QueuedRow>> {
    let row: Option<QueuedColumns> = sqlx::query_as(
        "SELECT topic, partition, log_offset, tenant_id, user_id, at_home FROM live.dead_letters \
         WHERE topic = $1 AND partition = $2 AND log_offset = $3",
    )
    .bind(topic.as_str())
    .bind(partition)
    .bind(offset)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(QueuedRow::from))
}

/// The dead letters with a reason, in the order of the log.
///
/// # Errors
/// The query failed.
pub async fn with_reason(pool: &PgPool, reason: ReasonCode) -> sqlx::Result<Vec<QueuedRow>> {
    let rows: Vec<QueuedColumns> = sqlx::query_as(
        "SELECT topic, partition, log_offset, tenant_id, user_id, at_home FROM live.dead_letters \
         WHERE reason = $1 ORDER BY topic DESC, partition, log_offset",
    )
    .bind(reason.as_str())
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(QueuedRow::from).collect())
}

/// The dead letters of a user, in the order of the log. Without a tenant, those of all tenants'
/// users with that id.
///
/// # Errors
/// The query failed.
pub async fn of_user(pool: &PgPool, tenant: Option<&TenantId>, user: Uuid) -> sqlx::Result<Vec<QueuedRow>> {
    let rows: Vec<QueuedColumns> = sqlx::query_as(
        "SELECT topic, partition, log_offset, tenant_id, user_id, at_home FROM live.dead_letters \
         WHERE ($1::text IS NULL OR tenant_id = $1) AND user_id = $2 ORDER BY topic DESC, partition, log_offset",
    )
    .bind(tenant.map(TenantId::as_str))
    .bind(user)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(QueuedRow::from).collect())
}
