//! Search for users.
//!
//! Terms of the criteria find candidates, whose rows are then compared with the criteria. A search
//! looks at a bounded number of candidates: where few of them match, the page is short and the next
//! one begins after the last candidate.

mod contained;
mod statement;

pub use contained::page as page_by_containment;
pub use statement::fixed_plans;

use self::statement::{Entries, statement};
use super::page::{MAX_BYTES, Page, cursor, is_any_large};
use crate::SearchSecret;
use domain::terms::{self, LinkParts};
use events_schema::{TenantId, personal::Claims};
use service_kit::{cursor::Cursor, query::PageRequest};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

/// The fewest candidates that a search looks at, if its page is not full before.
const MIN_CANDIDATES: i64 = 150;
/// The number beside the place where the search stopped, in `end.sql`.
const STOPPED: i64 = -1;
/// The most terms that are compared to find the sparsest one.
const COMPARED_TERMS: usize = 32;

/// What a user must match. All criteria that are given must match; without any, every user does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Criteria {
    /// What the claims must contain.
    pub claims: Claims,
    /// The identity provider's id.
    pub provider_id: Option<Uuid>,
    /// The identity provider's URL.
    pub provider_url: Option<String>,
    /// The user's identifier at the provider.
    pub subject_id: Option<String>,
}

impl Criteria {
    fn link(&self) -> LinkParts<'_> {
        let (url, subject_id) = (self.provider_url.as_deref(), self.subject_id.as_deref());
        LinkParts { provider_id: self.provider_id, url, subject_id }
    }

    /// Claims as JSON. A map with string keys and finite numbers can always be printed.
    fn claims_json(&self) -> String {
        serde_json::to_string(&self.claims).unwrap_or_default()
    }
}

/// The secret under which the live generation's terms are hashed.
///
/// # Errors
/// PostgreSQL fails or can't be reached.
pub async fn secret(connection: &mut PgConnection) -> sqlx::Result<SearchSecret> {
    SearchSecret::load(connection).await
}

/// A page of the users of a tenant that match all criteria. `None` if the live generation has no
/// postings under this secret.
///
/// # Errors
/// PostgreSQL fails or can't be reached.
pub async fn page(
    connection: &mut PgConnection,
    secret: &SearchSecret,
    tenant: &TenantId,
    criteria: &Criteria,
    page: &PageRequest,
) -> sqlx::Result<Option<Page>> {
    let search = Search { secret, tenant, criteria, page };
    let Some(found) = search.fetch(&mut *connection, Entries::Small).await? else { return Ok(None) };
    if !is_any_large(&found.entries)? {
        return found.into_page().map(Some);
    }
    let found = search.fetch(connection, Entries::First).await?;
    found.map(Found::into_page).transpose()
}

struct Search<'s> {
    secret: &'s SearchSecret,
    tenant: &'s TenantId,
    criteria: &'s Criteria,
    page: &'s PageRequest,
}

impl Search<'_> {
    async fn fetch(&self, connection: &mut PgConnection, entries: Entries) -> sqlx::Result<Option<Found>> {
        let Self { secret, tenant, criteria, page } = *self;
        let key = secret.key(tenant);
        let terms = key.of_criteria(&criteria.claims, criteria.link());
        // A user who has all of very many terms has too many terms.
        let (terms, oversized): (Vec<i64>, _) = if terms.len() > terms::MAX_TERMS {
            (vec![key.oversized()], None)
        } else {
            (terms.into_iter().take(COMPARED_TERMS).collect(), Some(key.oversized()))
        };
        let limit = i64::from(page.limit);
        let rows = sqlx::query(statement(terms.len(), entries))
            .bind(tenant.as_str())
            .bind(terms)
            .bind(oversized)
            .bind(page.after.map(|after| after.created_at))
            .bind(page.after.map_or(Uuid::nil(), |after| after.id))
            .bind(criteria.claims_json())
            .bind(criteria.provider_id)
            .bind(criteria.provider_url.as_deref())
            .bind(criteria.subject_id.as_deref())
            .bind(MIN_CANDIDATES.max(limit + 1))
            .bind(limit)
            .bind(secret.id)
            .bind(MAX_BYTES)
            .fetch_all(connection)
            .await?;
        Found::of_rows(rows)
    }
}

/// What a statement has found.
struct Found {
    entries: Vec<PgRow>,
    /// How many matches there are, up to one more than the page may have.
    matches: usize,
    /// Where the search stopped, if that was before the page was full.
    stopped_at: Option<Cursor>,
}

impl Found {
    /// The rows are the entries, then perhaps the last candidate, then the number of matches.
    fn of_rows(mut rows: Vec<PgRow>) -> sqlx::Result<Option<Self>> {
        let Some(matches) = number(rows.last())?.filter(|number| *number != STOPPED) else {
            return Ok(None);
        };
        rows.pop();
        let is_stopped = number(rows.last())? == Some(STOPPED);
        let stopped_at = rows.pop_if(|_| is_stopped).map(|row| cursor(&row)).transpose()?;
        Ok(Some(Self { entries: rows, matches: usize::try_from(matches).unwrap_or_default(), stopped_at }))
    }

    fn into_page(self) -> sqlx::Result<Page> {
        let has_more = self.matches > self.entries.len();
        let page = Page::of_rows(self.entries, has_more)?;
        Ok(Page { next: page.next.or(self.stopped_at), ..page })
    }
}

fn number(row: Option<&PgRow>) -> sqlx::Result<Option<i64>> {
    row.map_or(Ok(None), |row| row.try_get("found"))
}
