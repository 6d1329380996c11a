//! One user, and the pages of a tenant's users.

use super::page::{self, Page, PageQuery};
use bytes::Bytes;
use events_schema::{TenantId, UserKey};
use service_kit::query::PageRequest;
use sqlx::PgConnection;

/// A user as it is stored: the body is the answer, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    /// The version, as in `ETag`.
    pub version: i64,
    /// JSON.
    pub body: Bytes,
}

/// One user.
///
/// # Errors
/// PostgreSQL fails or can't be reached.
pub async fn get(connection: &mut PgConnection, key: &UserKey) -> sqlx::Result<Option<User>> {
    let query = sqlx::query_as("SELECT version, body FROM live.users WHERE tenant_id = $1 AND id = $2");
    let row: Option<(i64, String)> =
        query.bind(key.tenant.as_str()).bind(key.user).fetch_optional(connection).await?;
    Ok(row.map(|(version, body)| User { version, body: Bytes::from(body) }))
}

/// A page of a tenant's users.
///
/// # Errors
/// PostgreSQL fails or can't be reached.
pub async fn page(
    connection: &mut PgConnection,
    tenant: &TenantId,
    page: &PageRequest,
) -> sqlx::Result<Page> {
    page_where(connection, tenant, |_| {}, page).await
}

/// A page of the users of a tenant that meet these conditions. The index of these pages is partial:
/// on `isfinite(created_at)`, or on `version > 0` in a generation of fold 1 or 2. Both hold for all
/// users.
pub(super) async fn page_where(
    connection: &mut PgConnection,
    tenant: &TenantId,
    conditions: impl Fn(&mut PageQuery),
    page: &PageRequest,
) -> sqlx::Result<Page> {
    let of_users = |query: &mut PageQuery| {
        query.push(" AND version > 0 AND isfinite(created_at)");
        conditions(query);
    };
    page::fetch(connection, "live.users", tenant, of_users, page).await
}
