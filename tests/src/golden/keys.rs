//! The rows of the key store that a golden log needs.

use super::lines::{decoded, encoded};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

/// The rows as JSON.
///
/// # Panics
/// They can't be read.
pub(super) async fn dump(keys: &PgPool) -> Value {
    let secret = "SELECT name, id, wrapped, master_id FROM rollcall_keys.secrets ORDER BY name";
    let secrets: Vec<(String, Uuid, Vec<u8>, String)> =
        sqlx::query_as(secret).fetch_all(keys).await.expect("the secrets");
    let key = "SELECT tenant_id, owner_id, id, wrapped, master_id FROM rollcall_keys.data_keys ORDER BY 1, 2";
    let data_keys: Vec<crate::WrappedKey> = sqlx::query_as(key).fetch_all(keys).await.expect("the keys");
    let secret = |(name, id, wrapped, master): &(String, Uuid, Vec<u8>, String)| json!({ "name": name, "id": id, "wrapped": encoded(Some(wrapped)), "master": master });
    let key = |(tenant, owner, id, wrapped, master): &crate::WrappedKey| json!({ "tenant": tenant, "owner": owner, "id": id, "wrapped": encoded(Some(wrapped)), "master": master });
    json!({
        "secrets": secrets.iter().map(secret).collect::<Vec<_>>(),
        "dataKeys": data_keys.iter().map(key).collect::<Vec<_>>(),
    })
}

/// Puts the rows into a key store that the migration has just made with the same master key.
///
/// What the migration chose stays: the deployment's id, and the log's id that Kafka gave. The keys
/// are entered as made for these, because a sweep keeps keys of others for an operator to decide on.
///
/// # Panics
/// A row is refused.
pub(super) async fn load(keys: &PgPool, rows: &Value) {
    let secret = "UPDATE rollcall_keys.secrets SET id = $2, wrapped = $3, master_id = $4 WHERE name = $1";
    for row in rows["secrets"].as_array().expect("secrets") {
        let updated = sqlx::query(secret)
            .bind(text(row, "name"))
            .bind(id(row, "id"))
            .bind(decoded(&row["wrapped"]))
            .bind(text(row, "master"))
            .execute(keys);
        assert_eq!(updated.await.expect("the secret").rows_affected(), 1, "the migration makes {row}");
    }
    let key = "INSERT INTO rollcall_keys.data_keys (tenant_id, owner_id, id, wrapped, master_id, deployment_id, log_id) \
        SELECT $1, $2, $3, $4, $5, d.id, l.id FROM rollcall_keys.deployment d, rollcall_keys.logs l";
    for row in rows["dataKeys"].as_array().expect("keys") {
        let inserted = sqlx::query(key)
            .bind(text(row, "tenant"))
            .bind(id(row, "owner"))
            .bind(id(row, "id"))
            .bind(decoded(&row["wrapped"]))
            .bind(text(row, "master"))
            .execute(keys);
        assert_eq!(inserted.await.expect("the key").rows_affected(), 1, "one deployment, one log");
    }
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().expect("a text")
}

fn id(row: &Value, name: &str) -> Uuid {
    text(row, name).parse().expect("a uuid")
}
