//! The credentials of a user.

use super::page::{self, Page, PageQuery};
use events_schema::TenantId;
use service_kit::query::PageRequest;
use sqlx::PgConnection;
use uuid::Uuid;

/// A page of a user's credentials. It is empty where there is no such user.
///
/// # Errors
/// PostgreSQL fails or can't be reached.
pub async fn page(
    connection: &mut PgConnection,
    tenant: &TenantId,
    user: Uuid,
    page: &PageRequest,
) -> sqlx::Result<Page> {
    let of_user = |query: &mut PageQuery| {
        query.push(" AND issued AND user_id = ").push_bind(user);
        query.push(" AND EXISTS (SELECT FROM live.users u WHERE u.tenant_id = ").push_bind(tenant.as_str());
        query.push(" AND u.id = ").push_bind(user).push(")");
    };
    page::fetch(connection, "live.credentials", tenant, of_user, page).await
}
