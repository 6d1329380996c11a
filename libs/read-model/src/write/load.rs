//! Loads the states that a batch is folded on, and the users that a cache must hold. Each load
//! takes one round trip.

use super::{CredentialKey, PartitionOffset, Store};
use anyhow::Context as _;
use events_schema::{ReasonCode, Timestamp, UserKey, millis};
use service_kit::database::answered;
use sqlx::raw_sql;
use std::{ops::Range, time::Duration};
use time::OffsetDateTime;
use uuid::Uuid;

/// Version, tombstone and parking of users, with their place in the list of keys.
pub(super) const LOAD_USERS: &str = "\
SELECT k.n, u.version, t.version, EXISTS (SELECT FROM {g}.dead_letters d \
        WHERE d.topic <> 'credentials' AND d.at_home AND d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id) \
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY k(tenant_id, id, n) \
LEFT JOIN {g}.users u ON u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id \
LEFT JOIN {g}.tombstones t ON t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id";

/// The waiting records of parked users in the order of the log, and whether they wait for a key.
pub(super) const LOAD_QUEUES: &str = "\
SELECT d.tenant_id, d.user_id, d.partition, d.log_offset, d.sequence, d.reason = $3 \
FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
JOIN {g}.dead_letters d ON d.topic <> 'credentials' AND d.at_home AND d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id ORDER BY d.partition, d.log_offset";

/// Credentials, with their place in the list of keys.
pub(super) const LOAD_CREDENTIALS: &str = "\
SELECT k.n, c.created_at, c.status, c.body, c.log_offset FROM unnest($1::text[], $2::uuid[], $3::uuid[]) WITH ORDINALITY k(tenant_id, user_id, id, n) \
JOIN {g}.credentials c ON c.tenant_id = ANY (ARRAY[k.tenant_id]) AND c.user_id = k.user_id AND c.id = k.id";

/// The users of a partition whose last record lies between two offsets, in the order of their keys,
/// from one on: with their bodies, except deleted users and large bodies.
pub(super) const LOAD_BODIES: &str = "\
SELECT * FROM (
    (SELECT tenant_id, id, version, CASE WHEN octet_length(body) <= 16384 THEN body END FROM {g}.users
     WHERE isfinite(created_at) AND log_partition = $1 AND log_offset >= $2 AND log_offset < $3 AND (tenant_id, id) > ($4, $5)
     ORDER BY tenant_id, id LIMIT $6)
    UNION ALL
    (SELECT tenant_id, id, version, NULL FROM {g}.tombstones
     WHERE isfinite(deleted_at) AND log_partition = $1 AND log_offset >= $2 AND log_offset < $3 AND (tenant_id, id) > ($4, $5)
     ORDER BY tenant_id, id LIMIT $6)
) r ORDER BY tenant_id, id LIMIT $6";

/// How long [`LOAD_BODIES`] may take. A connection that hangs must not hold up the projector, and
/// in a large partition many rows may lie between two users of a chunk.
const BODIES_TIMEOUT: Duration = Duration::from_secs(20);

/// Leaves the planner only one way for [`LOAD_BODIES`]: along an index that has the keys in order,
/// until the chunk is full. It expects few rows, and would otherwise read and sort a whole
/// partition for each chunk. A generation of fold 1 or 2 has no such index for a partition. There
/// the walk follows the primary key, and not the index on offsets.
const IN_ORDER: &str = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off";

/// A user as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUser {
    /// The user.
    pub key: UserKey,
    /// The version, if the user exists.
    pub version: Option<u64>,
    /// The version of the deletion, if the user was deleted.
    pub deleted: Option<u64>,
    /// Whether records of the user wait as dead letters.
    pub is_parked: bool,
}

/// A record that waits in a user's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRecord {
    /// The user.
    pub key: UserKey,
    /// The record's place.
    pub at: PartitionOffset,
    /// The version that the record would give its user, if it names one.
    pub sequence: Option<u64>,
    /// Whether it waits for a missing data key.
    pub is_keyless: bool,
}

/// A credential as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCredential {
    /// The credential.
    pub key: CredentialKey,
    /// Its place in the order of pages.
    pub created_at: Timestamp,
    /// The last status, as text.
    pub status: Option<String>,
    /// The body as JSON, once it is issued.
    pub body: Option<String>,
    /// The offset of the last record about it.
    pub offset: i64,
}

/// A user as the cache must hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    pub(super) key: UserKey,
    pub(super) version: i64,
    /// `None`: readers ask PostgreSQL.
    pub(super) body: Option<String>,
}

/// Tenant, user, partition, offset, sequence, whether it waits for a key.
type QueueColumns = (String, Uuid, i32, i64, Option<i64>, bool);

/// Place in the list, creation, status, body, offset.
type CredentialColumns = (i64, OffsetDateTime, Option<String>, Option<String>, i64);

impl Store {
    /// The stored states of these users.
    ///
    /// # Errors
    /// The query failed.
    pub async fn load_users(&self, keys: &[UserKey]) -> anyhow::Result<Vec<StoredUser>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let query = sqlx::query_as(self.sql.load_users.get())
            .bind(keys.iter().map(|key| key.tenant.as_str()).collect::<Vec<_>>())
            .bind(keys.iter().map(|key| key.user).collect::<Vec<_>>());
        let rows: Vec<(i64, Option<i64>, Option<i64>, bool)> =
            self.connections.run(async |connection| query.fetch_all(connection).await).await?;
        let user = |(n, version, deleted, is_parked): (_, Option<i64>, Option<i64>, _)| {
            Ok(StoredUser {
                key: requested(keys, n)?.clone(),
                version: version.map(u64::try_from).transpose()?,
                deleted: deleted.map(u64::try_from).transpose()?,
                is_parked,
            })
        };
        rows.into_iter().map(user).collect()
    }

    /// The records that wait in the queues of these users, in the order of the log.
    ///
    /// # Errors
    /// The query failed.
    pub async fn load_queues(&self, parked: &[UserKey]) -> anyhow::Result<Vec<WaitingRecord>> {
        if parked.is_empty() {
            return Ok(Vec::new());
        }
        let query = sqlx::query_as(self.sql.load_queues.get())
            .bind(parked.iter().map(|key| key.tenant.as_str()).collect::<Vec<_>>())
            .bind(parked.iter().map(|key| key.user).collect::<Vec<_>>())
            .bind(ReasonCode::KeyMissing.as_str());
        let rows: Vec<QueueColumns> =
            self.connections.run(async |connection| query.fetch_all(connection).await).await?;
        let record = |(tenant, user, partition, offset, sequence, is_keyless): QueueColumns| {
            let key = UserKey { tenant: tenant.parse()?, user };
            let sequence = sequence.map(u64::try_from).transpose()?;
            Ok(WaitingRecord { key, at: (partition, offset), sequence, is_keyless })
        };
        rows.into_iter().map(record).collect()
    }

    /// The stored states of these credentials.
    ///
    /// # Errors
    /// The query failed.
    pub async fn load_credentials(&self, keys: &[CredentialKey]) -> anyhow::Result<Vec<StoredCredential>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let query = sqlx::query_as(self.sql.load_credentials.get())
            .bind(keys.iter().map(|(key, _)| key.tenant.as_str()).collect::<Vec<_>>())
            .bind(keys.iter().map(|(key, _)| key.user).collect::<Vec<_>>())
            .bind(keys.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        let rows: Vec<CredentialColumns> =
            self.connections.run(async |connection| query.fetch_all(connection).await).await?;
        let credential = |(n, created_at, status, body, offset): CredentialColumns| {
            let key = requested(keys, n)?.clone();
            Ok(StoredCredential { key, created_at: millis(created_at), status, body, offset })
        };
        rows.into_iter().map(credential).collect()
    }

    /// The users of a partition whose last record lies in `offsets`, in the order of their keys:
    /// those after `after`, at most `limit`.
    ///
    /// # Errors
    /// The query failed.
    pub(super) async fn load_bodies(
        &self,
        partition: i32,
        offsets: Range<i64>,
        after: Option<&UserKey>,
        limit: i64,
    ) -> anyhow::Result<Vec<CacheEntry>> {
        let load = async {
            let mut transaction = self.pool.begin().await?;
            raw_sql(IN_ORDER).execute(&mut *transaction).await?;
            let rows: Vec<(String, Uuid, i64, Option<String>)> = sqlx::query_as(self.sql.load_bodies.get())
                .bind(partition)
                .bind(offsets.start)
                .bind(offsets.end)
                .bind(after.map_or("", |after| after.tenant.as_str()))
                .bind(after.map_or(Uuid::nil(), |after| after.user))
                .bind(limit)
                .fetch_all(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(rows)
        };
        let rows = answered(BODIES_TIMEOUT, load).await?;
        let entry = |(tenant, user, version, body): (String, _, _, _)| {
            Ok(CacheEntry { key: UserKey { tenant: tenant.parse()?, user }, version, body })
        };
        rows.into_iter().map(entry).collect()
    }
}

/// The key with that place in the list of requested ones. Places begin at 1.
fn requested<T>(keys: &[T], n: i64) -> anyhow::Result<&T> {
    usize::try_from(n)
        .ok()
        .and_then(|n| keys.get(n.checked_sub(1)?))
        .context("PostgreSQL returned a row that was not requested")
}
