//! Compares what is stored of a user with what the log says. The result names fields and holds no
//! values.

use super::RepairedUser;
use crate::{
    generation::statement,
    write::{Remaining, Store, TombstoneRow, UserRow, effects::stored_version},
};
use bytes::Bytes;
use events_schema::{Timestamp, Topic};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// The version of the stored row, and which of its fields are equal.
const ROW: &str = "\
SELECT version, ARRAY[version = $3, created_at = $4, claims = $5::text::jsonb, \
        (provider_id, provider_url, subject_id) IS NOT DISTINCT FROM ($6::uuid, $7::text, $8::text), body = $9, creation_digest = $10, \
        key_id IS NOT DISTINCT FROM $11::uuid, (log_partition, log_offset) = ($12::int, $13::bigint), \
        terms = $14::text::bigint[] OR NOT (SELECT has_postings FROM rollcall.generations WHERE id = {n})] \
FROM {g}.users WHERE tenant_id = $1 AND id = $2";
/// The names of these fields.
const FIELDS: [&str; 9] = [
    "version",
    "createdAt",
    "claims",
    "authenticationProvider",
    "body",
    "creationDigest",
    "keyId",
    "logPosition",
    "terms",
];

/// Whether the postings are those of the log, as far as the terms of the log or of the row lead to them.
const POSTINGS: &str = "\
WITH stored AS (SELECT created_at, terms FROM {g}.users WHERE tenant_id = $1 AND id = $2), \
    terms AS (SELECT unnest($3::text::bigint[]) AS term UNION SELECT unnest(terms) FROM stored), \
    times AS (SELECT $4::timestamptz AS at WHERE $4 IS NOT NULL UNION SELECT created_at FROM stored), \
    wanted AS MATERIALIZED (SELECT term, at FROM terms, times), \
    found AS (SELECT p.term, p.created_at FROM wanted w JOIN {g}.postings p \
        ON p.term = ANY (ARRAY[w.term]) AND p.created_at = w.at AND p.user_id = $2) \
SELECT NOT has_postings OR ((SELECT count(*) FROM found) = cardinality($3::text::bigint[]) \
    AND NOT EXISTS (SELECT FROM found WHERE term <> ALL ($3::text::bigint[]) OR created_at IS DISTINCT FROM $4)) \
FROM rollcall.generations WHERE id = {n}";

const CREDENTIALS: &str = "\
SELECT id, created_at, issued, status, body, log_partition, log_offset FROM {g}.credentials \
WHERE tenant_id = $1 AND user_id = $2";

const TOMBSTONE: &str = "\
SELECT version, deleted_at, log_partition, log_offset FROM {g}.tombstones WHERE tenant_id = $1 AND id = $2";

type Credential = (Uuid, OffsetDateTime, bool, Option<String>, Option<String>, i32, i64);
type Tombstone = (i64, OffsetDateTime, i32, i64);

/// How a stored user differs from the log.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The fields that differ.
    pub fields: Vec<&'static str>,
    /// The highest version of the stored row and the cached body, or 0.
    pub highest_version: u64,
    /// The offsets of `users.events` whose outcome differs.
    pub outcomes: Vec<i64>,
    /// Dead letters that can be folded, or have no effect.
    pub resolved: Vec<(Topic, i64)>,
    /// Dead letters that can't.
    pub remaining: Vec<Remaining>,
    /// Events that can't be folded and are no dead letters.
    pub not_set_aside: Vec<Remaining>,
}

impl Store {
    /// The terms of a row, as PostgreSQL prints an array of them.
    pub(super) fn terms(&self, row: Option<&UserRow>) -> String {
        let terms = |row: &UserRow| self.secret.printed_terms(&row.key.tenant, &row.claims, row.link());
        row.map_or_else(|| "{}".to_owned(), terms)
    }

    /// Compares what is stored of a user with the log. `cached` is the cached body, read before.
    ///
    /// # Errors
    /// A query failed.
    pub async fn compare(
        &self,
        connection: &mut PgConnection,
        user: &RepairedUser,
        cached: Option<&(i64, Bytes)>,
    ) -> sqlx::Result<Comparison> {
        let mut comparison = Comparison::default();
        self.compare_row(connection, user, &mut comparison).await?;
        if !self.has_equal_postings(connection, user).await? {
            comparison.fields.push("postings");
        }
        if self.stored_credentials(connection, user).await? != expected_credentials(user) {
            comparison.fields.push("credentials");
        }
        let tombstone: Option<Tombstone> =
            self.of_user(TOMBSTONE, user).fetch_optional(&mut *connection).await?;
        if tombstone != user.effects.tombstones.first().map(expected_tombstone) {
            comparison.fields.push("tombstone");
        }
        self.compare_outcomes(connection, user, &mut comparison).await?;
        self.compare_letters(connection, user, &mut comparison).await?;
        if let Some(cached) = cached {
            let version = u64::try_from(cached.0).unwrap_or_default();
            comparison.highest_version = comparison.highest_version.max(version);
            if !is_cached_body_right(user, cached) {
                comparison.fields.push("cachedBody");
            }
        }
        Ok(comparison)
    }

    /// A query by tenant and user.
    pub(super) fn of_user<'q, O>(
        &self,
        text: &str,
        user: &'q RepairedUser,
    ) -> sqlx::query::QueryAs<'q, sqlx::Postgres, O, sqlx::postgres::PgArguments>
    where
        O: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        let query = sqlx::query_as(statement(text, self.generation));
        query.bind(user.key.tenant.as_str()).bind(user.key.user)
    }

    async fn compare_row(
        &self,
        connection: &mut PgConnection,
        user: &RepairedUser,
        comparison: &mut Comparison,
    ) -> sqlx::Result<()> {
        let row = user.effects.users.first();
        let claims = row.map(|row| serde_json::to_string(&row.claims).unwrap_or_default());
        let stored: Option<(i64, Vec<Option<bool>>)> = self
            .of_user(ROW, user)
            .bind(row.map(|row| stored_version(row.version)))
            .bind(row.and_then(|row| row.created_at).map(Timestamp::get))
            .bind(claims)
            .bind(row.and_then(|row| row.provider_id))
            .bind(row.and_then(|row| row.provider_url.as_deref()))
            .bind(row.and_then(|row| row.subject_id.as_deref()))
            .bind(row.map(|row| row.body.as_str()))
            .bind(row.and_then(|row| row.creation_digest).map(|digest| digest.to_vec()))
            .bind(row.and_then(|row| row.key_id))
            .bind(row.map(|row| row.at.0))
            .bind(row.map(|row| row.at.1))
            .bind(self.terms(row))
            .fetch_optional(connection)
            .await?;
        let version = stored.as_ref().map_or(0, |(version, _)| *version);
        comparison.highest_version = u64::try_from(version).unwrap_or_default();
        match (row, stored) {
            (Some(_), Some((_, equal))) => {
                let fields = FIELDS.iter().zip(equal).filter(|(_, is_equal)| *is_equal != Some(true));
                comparison.fields.extend(fields.map(|(field, _)| *field));
            }
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => comparison.fields.push("row"),
        }
        Ok(())
    }

    async fn has_equal_postings(
        &self,
        connection: &mut PgConnection,
        user: &RepairedUser,
    ) -> sqlx::Result<bool> {
        let row = user.effects.users.first();
        let postings = self.of_user(POSTINGS, user).bind(self.terms(row));
        let created_at = row.and_then(|row| row.created_at).map(Timestamp::get);
        let (is_equal,): (bool,) = postings.bind(created_at).fetch_one(connection).await?;
        Ok(is_equal)
    }

    async fn stored_credentials(
        &self,
        connection: &mut PgConnection,
        user: &RepairedUser,
    ) -> sqlx::Result<BTreeSet<Credential>> {
        let rows: Vec<Credential> = self.of_user(CREDENTIALS, user).fetch_all(connection).await?;
        Ok(rows.into_iter().collect())
    }
}

fn expected_credentials(user: &RepairedUser) -> BTreeSet<Credential> {
    let rows = user.effects.credentials.iter();
    rows.map(|row| {
        let (is_issued, status) = (row.body.is_some(), row.status.map(str::to_owned));
        (row.key.1, row.created_at.get(), is_issued, status, row.body.clone(), row.at.0, row.at.1)
    })
    .collect()
}

fn expected_tombstone(row: &TombstoneRow) -> Tombstone {
    (stored_version(row.version), row.deleted_at.get(), row.at.0, row.at.1)
}

/// An older body belongs to a cache that is behind, which readers don't trust.
fn is_cached_body_right(user: &RepairedUser, (version, body): &(i64, Bytes)) -> bool {
    user.effects.users.first().is_some_and(|row| match version.cmp(&stored_version(row.version)) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => body == row.body.as_bytes(),
        std::cmp::Ordering::Greater => false,
    })
}
