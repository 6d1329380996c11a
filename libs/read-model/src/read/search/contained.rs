//! Search in a generation of an earlier release, by its index on claims and its indexes on the link.

use super::Criteria;
use crate::read::{
    page::{Page, PageQuery},
    users,
};
use events_schema::TenantId;
use service_kit::query::PageRequest;
use sqlx::PgPool;

/// A page of the users of a tenant that match all criteria.
///
/// # Errors
/// PostgreSQL fails or can't be reached.
pub async fn page(
    pool: &PgPool,
    tenant: &TenantId,
    criteria: &Criteria,
    page: &PageRequest,
) -> sqlx::Result<Page> {
    let mut connection = pool.acquire().await?;
    users::page_where(&mut connection, tenant, |query| add_criteria(query, criteria), page).await
}

/// A text may be longer than an index entry, so the index is on its hash.
fn add_criteria(query: &mut PageQuery, criteria: &Criteria) {
    if !criteria.claims.is_empty() {
        query.push(" AND claims @> ").push_bind(criteria.claims_json()).push("::text::jsonb");
    }
    if let Some(provider) = criteria.provider_id {
        query.push(" AND provider_id = ").push_bind(provider);
    }
    let texts = [("provider_url", &criteria.provider_url), ("subject_id", &criteria.subject_id)];
    for (column, text) in texts.into_iter().filter_map(|(column, text)| Some((column, text.as_ref()?))) {
        query.push(format_args!(" AND md5({column}) = md5(")).push_bind(text.clone());
        query.push(format_args!(") AND {column} = ")).push_bind(text.clone());
    }
}
