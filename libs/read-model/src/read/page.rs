//! The frame of every paged statement: keyset pagination by `(created_at, id)`, with a limit in
//! entries and in bytes.

use events_schema::TenantId;
use service_kit::{cursor::Cursor, query::PageRequest};
use sqlx::{PgConnection, QueryBuilder, Row as _, ValueRef as _, postgres::PgRow};

/// The size of a page in bytes, at most. Its first entry is returned whatever its size.
pub(super) const MAX_BYTES: i64 = 8 * 1024 * 1024;

/// A statement that is being built.
pub(super) type PageQuery = QueryBuilder<sqlx::Postgres>;

/// The entries of a page.
pub struct Page {
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// Where the next page begins, if there may be more entries.
    pub next: Option<Cursor>,
}

impl Page {
    /// A page of these rows. If more follow, the next page begins after the last of them.
    pub(super) fn of_rows(rows: Vec<PgRow>, has_more: bool) -> sqlx::Result<Self> {
        let entries: Vec<Entry> = rows.into_iter().map(Entry).collect();
        let next = entries.last().filter(|_| has_more).map(Entry::cursor).transpose()?;
        Ok(Self { entries, next })
    }
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

    fn cursor(&self) -> sqlx::Result<Cursor> {
        cursor(&self.0)
    }
}

/// The place of a row in the order.
pub(super) fn cursor(row: &PgRow) -> sqlx::Result<Cursor> {
    Ok(Cursor { created_at: row.try_get("created_at")?, id: row.try_get("id")? })
}

/// Whether one of these rows lacks its body, because it has more than its share of the page's bytes.
pub(super) fn is_any_large(rows: &[PgRow]) -> sqlx::Result<bool> {
    for row in rows {
        if row.try_get_raw("body")?.is_null() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A page of a tenant's entries in `table`. `conditions` adds more, each with `AND`.
pub(super) async fn fetch(
    connection: &mut PgConnection,
    table: &str,
    tenant: &TenantId,
    conditions: impl Fn(&mut PageQuery),
    page: &PageRequest,
) -> sqlx::Result<Page> {
    let push_entries = |query: &mut PageQuery| {
        query.push(" FROM ").push(table).push(" WHERE tenant_id = ").push_bind(tenant.as_str());
        conditions(query);
        push_range(query, page);
    };
    let rows = small_entries(push_entries, page.limit).build().fetch_all(&mut *connection).await?;
    if let Some(page) = page_of(rows, page.limit)? {
        return Ok(page);
    }
    let rows = first_entries(push_entries, page.limit).build().fetch_all(connection).await?;
    let found: i64 = rows.first().map_or(Ok(0), |row| row.try_get("found"))?;
    let has_more = usize::try_from(found).is_ok_and(|found| found > rows.len());
    Page::of_rows(rows, has_more)
}

/// What comes after the cursor, in order: one entry more than asked for, to know whether any follows.
fn push_range(query: &mut PageQuery, page: &PageRequest) {
    if let Some(after) = page.after {
        query.push(" AND (created_at, id) > (").push_bind(after.created_at);
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(" ORDER BY created_at, id LIMIT ").push_bind(i64::from(page.limit) + 1);
}

/// Entries with their bodies, unless a body has more than its share of the page's bytes. Nearly all
/// pages have no such body, and are read at half the cost of [`first_entries`].
fn small_entries(push_entries: impl Fn(&mut PageQuery), limit: u32) -> PageQuery {
    let mut query = PageQuery::new("SELECT CASE WHEN octet_length(body) < ");
    query.push_bind(MAX_BYTES / i64::from(limit).max(1)).push(" THEN body END AS body, created_at, id");
    push_entries(&mut query);
    query
}

/// The page of these rows. `None` if one of its bodies is missing.
fn page_of(mut rows: Vec<PgRow>, limit: u32) -> sqlx::Result<Option<Page>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    if is_any_large(&rows)? { Ok(None) } else { Page::of_rows(rows, has_more).map(Some) }
}

/// As many entries as fit into the page's bytes, at least one, and how many there are.
///
/// The sum runs over lengths, which PostgreSQL knows without unpacking a body, so entries over the
/// limit never leave the database.
fn first_entries(push_entries: impl Fn(&mut PageQuery), limit: u32) -> PageQuery {
    let mut query = PageQuery::new(
        "SELECT body, created_at, id, found FROM (\
         SELECT body, created_at, id, row_number() OVER w AS nth, sum(octet_length(body) + 1) OVER w AS bytes, \
         count(*) OVER () AS found FROM (SELECT body, created_at, id",
    );
    push_entries(&mut query);
    query.push(
        ") AS page WINDOW w AS (ORDER BY created_at, id ROWS UNBOUNDED PRECEDING)) AS weighed WHERE nth <= ",
    );
    query.push_bind(i64::from(limit)).push(" AND (nth = 1 OR bytes <= ").push_bind(MAX_BYTES);
    query.push(") ORDER BY created_at, id");
    query
}
