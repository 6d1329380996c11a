//! The frame of every paged statement: keyset pagination by `(created_at, id)`, with a limit in
//! entries and in bytes.

use events_schema::TenantId;
use service_kit::{cursor::Cursor, query::PageRequest};
use sqlx::{PgPool, QueryBuilder, Row as _, postgres::PgRow};

/// The size of a page in bytes, at most. Its first entry is returned whatever its size.
const MAX_BYTES: i64 = 8 * 1024 * 1024;

/// A statement that is being built. Between [`begin`] and [`fetch`], conditions are added with
/// `AND`.
pub(super) type PageQuery = QueryBuilder<sqlx::Postgres>;

/// The entries of a page.
pub struct Page {
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// Whether more entries follow.
    pub has_more: bool,
}

/// One entry. Its body is borrowed from the row, so that it is copied only once, into the response.
pub struct Entry(PgRow);

impl Entry {
    /// The body: JSON, ready to be sent.
    ///
    /// # Errors
    /// The row does not hold one.
    pub fn body(&self) -> sqlx::Result<&str> {
        self.0.try_get("body")
    }

    /// Its place in the order.
    ///
    /// # Errors
    /// The row does not hold one.
    pub fn cursor(&self) -> sqlx::Result<Cursor> {
        Ok(Cursor { created_at: self.0.try_get("created_at")?, id: self.0.try_get("id")? })
    }
}

/// The beginning of a page's statement, up to the condition on the tenant.
///
/// The sum runs over lengths, which PostgreSQL knows without unpacking a body, so entries over the
/// limit never leave the database.
pub(super) fn begin(table: &str, tenant: &TenantId) -> PageQuery {
    let mut query = PageQuery::new(
        "SELECT body, created_at, id, found FROM (\
         SELECT body, created_at, id, row_number() OVER w AS nth, sum(octet_length(body) + 1) OVER w AS bytes, \
         count(*) OVER () AS found FROM (SELECT body, created_at, id FROM ",
    );
    query.push(table).push(" WHERE tenant_id = ").push_bind(tenant.as_str());
    query
}

/// Ends the statement and runs it. It looks at one entry more than asked for, to know whether any
/// follows.
pub(super) async fn fetch(pool: &PgPool, mut query: PageQuery, page: &PageRequest) -> sqlx::Result<Page> {
    if let Some(after) = page.after {
        query.push(" AND (created_at, id) > (").push_bind(after.created_at);
        query.push(", ").push_bind(after.id).push(")");
    }
    let limit = i64::from(page.limit);
    query.push(" ORDER BY created_at, id LIMIT ").push_bind(limit + 1);
    query.push(
        ") AS page WINDOW w AS (ORDER BY created_at, id ROWS UNBOUNDED PRECEDING)) AS weighed WHERE nth <= ",
    );
    query.push_bind(limit).push(" AND (nth = 1 OR bytes <= ").push_bind(MAX_BYTES);
    query.push(") ORDER BY created_at, id");
    let rows = query.build().fetch_all(pool).await?;
    let found: i64 = rows.first().map_or(Ok(0), |row| row.try_get("found"))?;
    let has_more = usize::try_from(found).is_ok_and(|found| found > rows.len());
    Ok(Page { entries: rows.into_iter().map(Entry).collect(), has_more })
}
