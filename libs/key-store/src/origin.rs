//! What each key was created for: the deployment, and the log that it writes to. This tells an
//! orphaned key from one that another log or another deployment needs.

use super::{
    ANSWER_TIMEOUT, Keys, KeysError, Owner,
    pages::{PAGE, StoredKey},
};
use service_kit::database::answered;
use time::OffsetDateTime;
use uuid::Uuid;

/// A deployment and one of its logs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The deployment.
    pub deployment: Uuid,
    /// The log, by an id that no other log ever has.
    pub log: String,
}

/// A stored key and what it was created for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWithOrigin {
    /// The key.
    pub held: StoredKey,
    /// What it was created for. `None`: the key is older than this record.
    pub origin: Option<Origin>,
}

type Row = (String, Uuid, Uuid, OffsetDateTime, Option<Uuid>, Option<String>);

fn from_row((tenant, owner, id, asked_at, deployment, log): Row) -> Option<KeyWithOrigin> {
    let owner = Owner { tenant: tenant.parse().ok()?, id: owner };
    let origin = deployment.zip(log).map(|(deployment, log)| Origin { deployment, log });
    Some(KeyWithOrigin { held: StoredKey { owner, id, asked_at }, origin })
}

/// Owners and key ids, as columns.
fn columns(keys: &[StoredKey]) -> (Vec<&str>, Vec<Uuid>, Vec<Uuid>) {
    let tenants = keys.iter().map(|key| key.owner.tenant.as_str()).collect();
    (tenants, keys.iter().map(|key| key.owner.id).collect(), keys.iter().map(|key| key.id).collect())
}

impl Keys {
    /// The next page of stored keys with their origins, ordered by owner. Empty at the end.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn page_with_origins(&self, after: Option<&Owner>) -> Result<Vec<KeyWithOrigin>, KeysError> {
        let page = sqlx::query_as(
            "SELECT tenant_id, owner_id, id, asked_at, deployment_id, log_id FROM rollcall_keys.data_keys \
             WHERE (tenant_id, owner_id) > ($1, $2) ORDER BY tenant_id, owner_id LIMIT $3",
        )
        .bind(after.map_or("", |owner| owner.tenant.as_str()))
        .bind(after.map_or(Uuid::nil(), |owner| owner.id))
        .bind(PAGE)
        .fetch_all(&self.0.pool);
        let rows: Vec<Row> = answered(ANSWER_TIMEOUT, page).await?;
        Ok(rows.into_iter().filter_map(from_row).collect())
    }

    /// Records the origin of those of these keys that have none.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn note_origin(&self, keys: &[StoredKey], origin: &Origin) -> Result<(), KeysError> {
        let (tenants, owners, ids) = columns(keys);
        let note = sqlx::query(
            "UPDATE rollcall_keys.data_keys k SET deployment_id = $4, log_id = $5 \
             FROM unnest($1::text[], $2::uuid[], $3::uuid[]) o(tenant_id, owner_id, id) \
             WHERE k.tenant_id = ANY (ARRAY[o.tenant_id]) AND k.owner_id = o.owner_id AND k.id = o.id AND k.log_id IS NULL",
        );
        let note = note.bind(tenants).bind(owners).bind(ids).bind(origin.deployment).bind(&origin.log);
        answered(ANSWER_TIMEOUT, note.execute(&self.0.pool)).await?;
        Ok(())
    }

    /// Destroys exactly these keys, and none that an owner received since. With `asked_before`,
    /// only those that nobody has asked for since then. Every process is notified. Returns how many
    /// were destroyed.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn destroy_exactly(
        &self,
        keys: &[StoredKey],
        asked_before: Option<OffsetDateTime>,
    ) -> Result<u64, KeysError> {
        let (tenants, owners, ids) = columns(keys);
        let destroy = sqlx::query_scalar(
            "WITH gone AS ( \
                DELETE FROM rollcall_keys.data_keys k USING unnest($1::text[], $2::uuid[], $3::uuid[]) o(tenant_id, owner_id, id) \
                WHERE k.tenant_id = ANY (ARRAY[o.tenant_id]) AND k.owner_id = o.owner_id AND k.id = o.id AND ($4::timestamptz IS NULL OR k.asked_at < $4) \
                RETURNING k.tenant_id, k.owner_id \
             ), holders AS ( \
                SELECT id FROM rollcall_keys.caches FOR KEY SHARE \
             ), told AS ( \
                INSERT INTO rollcall_keys.dropping (tenant_id, owner_id, cache_id) \
                SELECT gone.tenant_id, gone.owner_id, c.id FROM gone, holders c ON CONFLICT DO NOTHING \
             ) \
             SELECT count(pg_notify('rollcall_keys', tenant_id || '/' || owner_id)) FROM gone",
        );
        let destroy = destroy.bind(tenants).bind(owners).bind(ids).bind(asked_before);
        let count: i64 = answered(ANSWER_TIMEOUT, destroy.fetch_one(&self.0.pool)).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}
