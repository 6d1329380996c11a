//! Users and credentials in Postgres, always of one tenant.

use super::User;
use crate::{criteria::Criteria, page::Page};
use bytes::Bytes;
use events_schema::{TenantId, UserKey};
use service_kit::{
    cursor::Cursor,
    database::{Role, answered, pool},
    query::PageRequest,
};
use sqlx::{PgPool, QueryBuilder, Row as _, postgres::PgRow};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// Connections for reads of one user and of plain pages.
const READS: u32 = 12;
/// Connections for search, apart, so that slow searches never stand in the way of other reads.
const SEARCHES: u32 = 6;
/// For one user to be found.
const USER: Duration = Duration::from_secs(4);
/// For a page to be found: a little more than Postgres gives itself, so that usually it says why.
const PAGE: Duration = Duration::from_secs(12);
/// The most that a page may weigh, in bytes; its first entry is given whatever it weighs.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;

/// Reads of the live generation. Cheap to clone.
#[derive(Clone)]
pub(super) struct Postgres {
    reads: PgPool,
    searches: PgPool,
    /// For the question whether Postgres is there, which must not wait behind reads.
    checks: PgPool,
}

type Sql = QueryBuilder<sqlx::Postgres>;

impl Postgres {
    pub(super) fn open(url: &str) -> anyhow::Result<Self> {
        let searches = pool(url, Role::Reader, SEARCHES)?;
        // The best plan depends on how common the criteria are, so each search is planned by its own values.
        let options = (*searches.connect_options()).clone();
        searches.set_connect_options(options.options([("plan_cache_mode", "force_custom_plan")]));
        let (reads, checks) = (pool(url, Role::Reader, READS)?, pool(url, Role::Reader, 1)?);
        Ok(Self { reads, searches, checks })
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.reads
    }

    pub(super) async fn check(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.checks).await.map(drop)
    }

    /// Closes what only requests use. Whoever follows the projector's progress does so to the very end, on the other pool.
    pub(super) async fn close(&self) {
        self.searches.close().await;
    }

    pub(super) async fn user(&self, key: &UserKey) -> sqlx::Result<Option<User>> {
        let query = sqlx::query_as("SELECT version, body FROM live.users WHERE tenant_id = $1 AND id = $2");
        let query = query.bind(key.tenant.as_str()).bind(key.user);
        let row: Option<(i64, String)> = answered(USER, query.fetch_optional(&self.reads)).await?;
        Ok(row.map(|(version, body)| User { version, body: Bytes::from(body) }))
    }

    pub(super) async fn users(&self, tenant: &TenantId, page: &PageRequest) -> sqlx::Result<Page> {
        let mut sql = users_of(tenant);
        fetch(&self.reads, &mut sql, page).await
    }

    pub(super) async fn search(
        &self,
        tenant: &TenantId,
        criteria: &Criteria,
        page: &PageRequest,
    ) -> sqlx::Result<Page> {
        let mut sql = users_of(tenant);
        narrow(&mut sql, criteria);
        fetch(&self.searches, &mut sql, page).await
    }

    pub(super) async fn credentials(
        &self,
        tenant: &TenantId,
        user: Uuid,
        page: &PageRequest,
    ) -> sqlx::Result<Page> {
        let mut sql = of_tenant("live.credentials", tenant);
        sql.push(" AND issued AND user_id = ").push_bind(user);
        sql.push(" AND EXISTS (SELECT FROM live.users u WHERE u.tenant_id = ").push_bind(tenant.as_str());
        sql.push(" AND u.id = ").push_bind(user).push(")");
        fetch(&self.reads, &mut sql, page).await
    }
}

/// The beginning of a page's statement. The sum runs over lengths, which Postgres knows without unpacking a body, and what is over
/// the limit never leaves it.
fn of_tenant(table: &str, tenant: &TenantId) -> Sql {
    let mut sql = Sql::new(
        "SELECT body, created_at, id, found FROM (\
         SELECT body, created_at, id, row_number() OVER w AS nth, sum(octet_length(body) + 1) OVER w AS bytes, \
         count(*) OVER () AS found FROM (SELECT body, created_at, id FROM ",
    );
    sql.push(table).push(" WHERE tenant_id = ").push_bind(tenant.as_str());
    sql
}

/// The same for users, by the index of their pages; `version > 0`, which all of them are, is what that index says of itself.
fn users_of(tenant: &TenantId) -> Sql {
    let mut sql = of_tenant("live.users", tenant);
    sql.push(" AND version > 0");
    sql
}

/// All criteria together. A text that may be longer than an index entry is looked up by its hash, too.
fn narrow(sql: &mut Sql, criteria: &Criteria) {
    if let Some(claims) = &criteria.claims {
        sql.push(" AND claims @> ").push_bind(claims.clone()).push("::text::jsonb");
    }
    if let Some(provider) = criteria.provider_id {
        sql.push(" AND provider_id = ").push_bind(provider);
    }
    let texts = [("provider_url", &criteria.provider_url), ("subject_id", &criteria.subject_id)];
    for (column, text) in texts.into_iter().filter_map(|(column, text)| Some((column, text.as_ref()?))) {
        sql.push(format_args!(" AND md5({column}) = md5(")).push_bind(text.clone());
        sql.push(format_args!(") AND {column} = ")).push_bind(text.clone());
    }
}

/// The end of a page's statement, and its answer. One entry more than asked for is looked at, to know whether any follows.
async fn fetch(pool: &PgPool, sql: &mut Sql, page: &PageRequest) -> sqlx::Result<Page> {
    if let Some(after) = page.after {
        sql.push(" AND (created_at, id) > (")
            .push_bind(after.created_at)
            .push(", ")
            .push_bind(after.id)
            .push(")");
    }
    let limit = i64::from(page.limit);
    sql.push(" ORDER BY created_at, id LIMIT ").push_bind(limit + 1);
    sql.push(
        ") AS page WINDOW w AS (ORDER BY created_at, id ROWS UNBOUNDED PRECEDING)) AS weighed WHERE nth <= ",
    );
    sql.push_bind(limit)
        .push(" AND (nth = 1 OR bytes <= ")
        .push_bind(PAGE_BYTES)
        .push(") ORDER BY created_at, id");
    assemble(&answered(PAGE, sql.build().fetch_all(pool)).await?)
}

fn assemble(rows: &[PgRow]) -> sqlx::Result<Page> {
    let bodies = rows.iter().map(|row| row.try_get::<&str, _>("body")).collect::<sqlx::Result<Vec<_>>>()?;
    let mut page = Page::with_capacity(bodies.iter().map(|body| body.len() + 1).sum());
    for (row, body) in rows.iter().zip(bodies) {
        let created_at: OffsetDateTime = row.try_get("created_at")?;
        page.push(body, Cursor { created_at, id: row.try_get("id")? });
    }
    let found: i64 = rows.first().map_or(Ok(0), |row| row.try_get("found"))?;
    page.set_more(usize::try_from(found).is_ok_and(|found| found > rows.len()));
    Ok(page)
}
