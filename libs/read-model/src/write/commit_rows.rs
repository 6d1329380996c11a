//! The parameters of the commit: a list of rows for each kind of row, passed as one array for each
//! column. Names and types of the columns are declared once, beside the values that are bound.

use super::{
    CredentialRow, DeadLetterRow, Effects, RejectionRow, Span, TombstoneRow, UserRow,
    commit_statement::Shape, effects::stored_version, ownership::Epochs,
};
use crate::SearchSecret;
use events_schema::{Partition, Timestamp};
use sqlx::{Postgres, postgres::PgArguments, query::QueryAs};

type Query<'q, O> = QueryAs<'q, Postgres, O, PgArguments>;

/// The parameters before the rows are the generation and the announcements.
pub(super) const FIRST_ROW_PARAMETER: usize = 3;

/// A kind of row: its name in the statement, and its columns with their types, in binding order.
pub(super) struct Rows {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, &'static str)],
}

pub(super) const SPANS: Rows = Rows {
    name: "spans",
    columns: &[
        ("topic", "text"),
        ("partition", "int"),
        ("expected", "bigint"),
        ("next", "bigint"),
        ("epoch", "bigint"),
        ("record_time", "timestamptz"),
    ],
};

pub(super) const USERS: Rows = Rows {
    name: "users",
    columns: &[
        ("tenant_id", "text"),
        ("id", "uuid"),
        ("version", "bigint"),
        ("claims", "text"),
        ("provider_id", "uuid"),
        ("provider_url", "text"),
        ("subject_id", "text"),
        ("body", "text"),
        ("log_partition", "int"),
        ("log_offset", "bigint"),
        ("created_at", "timestamptz"),
        ("creation_digest", "bytea"),
        ("key_id", "uuid"),
        // As text, because PostgreSQL has no arrays of arrays.
        ("terms", "text"),
    ],
};

pub(super) const TOMBSTONES: Rows = Rows {
    name: "tombstones",
    columns: &[
        ("tenant_id", "text"),
        ("id", "uuid"),
        ("version", "bigint"),
        ("deleted_at", "timestamptz"),
        ("log_partition", "int"),
        ("log_offset", "bigint"),
    ],
};

pub(super) const CREDENTIALS: Rows = Rows {
    name: "credentials",
    columns: &[
        ("tenant_id", "text"),
        ("user_id", "uuid"),
        ("id", "uuid"),
        ("created_at", "timestamptz"),
        ("status", "text"),
        ("body", "text"),
        ("log_partition", "int"),
        ("log_offset", "bigint"),
    ],
};

pub(super) const REJECTIONS: Rows = Rows {
    name: "rejections",
    columns: &[("partition", "int"), ("log_offset", "bigint"), ("reason", "text")],
};

pub(super) const DEAD_LETTERS: Rows = Rows {
    name: "dead_letters",
    columns: &[
        ("topic", "text"),
        ("partition", "int"),
        ("log_offset", "bigint"),
        ("tenant_id", "text"),
        ("user_id", "uuid"),
        ("key", "bytea"),
        ("value", "bytea"),
        ("headers", "text"),
        ("raw_headers", "text"),
        ("reason", "text"),
        ("detail", "text"),
        ("record_time", "timestamptz"),
        ("sequence", "bigint"),
        ("at_home", "bool"),
    ],
};

impl Rows {
    /// `unnest($n::text[], …) AS r(tenant_id, …)`, where `n` is `first`.
    pub(super) fn unnest(&self, first: usize) -> String {
        let parameter = |(n, (_, of)): (usize, &(&str, &str))| format!("${n}::{of}[]");
        let parameters: Vec<_> = (first..).zip(self.columns).map(parameter).collect();
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        format!("unnest({}) AS r({})", parameters.join(", "), names.join(", "))
    }
}

/// Everything that a commit binds.
pub(super) struct CommitRows<'e> {
    pub(super) generation: i32,
    pub(super) announcements: Vec<String>,
    pub(super) effects: &'e Effects,
    pub(super) epochs: &'e Epochs,
    pub(super) secret: &'e SearchSecret,
}

impl<'e> CommitRows<'e> {
    /// Binds the parameters, in the order of [`Shape::rows`].
    pub(super) fn bind<'q, O>(self, shape: Shape, query: Query<'q, O>) -> Query<'q, O>
    where
        'e: 'q,
    {
        let Self { generation, announcements, effects, epochs, secret } = self;
        let query = query.bind(generation).bind(announcements);
        let query = bind_spans(query, effects, epochs);
        let query = bind_users(query, &effects.users, secret);
        let query = bind_rejections(query, &effects.rejections);
        match shape {
            Shape::UsersOnly => query,
            Shape::Full => {
                let query = bind_tombstones(query, &effects.tombstones);
                let query = bind_credentials(query, &effects.credentials);
                bind_dead_letters(query, &effects.dead_letters)
            }
        }
    }
}

/// One column of rows.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn bind_spans<'q, O>(query: Query<'q, O>, effects: &'q Effects, epochs: &Epochs) -> Query<'q, O> {
    let mut spans: Vec<(&Partition, &Span)> = effects.spans.iter().collect();
    // In the order in which `ownership::lock` locks the same rows: this rules out deadlocks.
    spans.sort_unstable_by_key(|((topic, partition), _)| (topic.as_str(), *partition));
    query
        .bind(column(&spans, |((topic, _), _)| topic.as_str()))
        .bind(column(&spans, |((_, partition), _)| *partition))
        .bind(column(&spans, |(_, span)| span.from))
        .bind(column(&spans, |(_, span)| span.next))
        .bind(column(&spans, |(partition, _)| epochs.of(**partition)))
        .bind(column(&spans, |(_, span)| span.time.map(Timestamp::get)))
}

fn bind_users<'q, O>(query: Query<'q, O>, rows: &'q [UserRow], secret: &SearchSecret) -> Query<'q, O> {
    // A map with string keys and finite numbers can always be printed.
    let claims = |row: &UserRow| serde_json::to_string(&row.claims).unwrap_or_default();
    let terms = |row: &UserRow| secret.printed_terms(&row.key.tenant, &row.claims, row.link());
    query
        .bind(column(rows, |row| row.key.tenant.as_str()))
        .bind(column(rows, |row| row.key.user))
        .bind(column(rows, |row| stored_version(row.version)))
        .bind(column(rows, claims))
        .bind(column(rows, |row| row.provider_id))
        .bind(column(rows, |row| row.provider_url.as_deref()))
        .bind(column(rows, |row| row.subject_id.as_deref()))
        .bind(column(rows, |row| row.body.as_str()))
        .bind(column(rows, |row| row.at.0))
        .bind(column(rows, |row| row.at.1))
        .bind(column(rows, |row| row.created_at.map(Timestamp::get)))
        .bind(column(rows, |row| row.creation_digest.map(Vec::from)))
        .bind(column(rows, |row| row.key_id))
        .bind(column(rows, terms))
}

fn bind_tombstones<'q, O>(query: Query<'q, O>, rows: &'q [TombstoneRow]) -> Query<'q, O> {
    query
        .bind(column(rows, |row| row.key.tenant.as_str()))
        .bind(column(rows, |row| row.key.user))
        .bind(column(rows, |row| stored_version(row.version)))
        .bind(column(rows, |row| row.deleted_at.get()))
        .bind(column(rows, |row| row.at.0))
        .bind(column(rows, |row| row.at.1))
}

fn bind_credentials<'q, O>(query: Query<'q, O>, rows: &'q [CredentialRow]) -> Query<'q, O> {
    query
        .bind(column(rows, |row| row.key.0.tenant.as_str()))
        .bind(column(rows, |row| row.key.0.user))
        .bind(column(rows, |row| row.key.1))
        .bind(column(rows, |row| row.created_at.get()))
        .bind(column(rows, |row| row.status))
        .bind(column(rows, |row| row.body.as_deref()))
        .bind(column(rows, |row| row.at.0))
        .bind(column(rows, |row| row.at.1))
}

fn bind_rejections<'q, O>(query: Query<'q, O>, rows: &'q [RejectionRow]) -> Query<'q, O> {
    query
        .bind(column(rows, |row| row.at.0))
        .bind(column(rows, |row| row.at.1))
        .bind(column(rows, |row| row.reason.as_str()))
}

fn bind_dead_letters<'q, O>(query: Query<'q, O>, rows: &'q [DeadLetterRow]) -> Query<'q, O> {
    query
        .bind(column(rows, |row| row.partition.0.as_str()))
        .bind(column(rows, |row| row.partition.1))
        .bind(column(rows, |row| row.offset))
        .bind(column(rows, |row| row.key.as_ref().map(|key| key.tenant.as_str())))
        .bind(column(rows, |row| row.key.as_ref().map(|key| key.user)))
        .bind(column(rows, |row| row.raw.key.as_deref()))
        .bind(column(rows, |row| row.raw.value.as_deref()))
        .bind(column(rows, |row| row.raw.headers_json().to_string()))
        .bind(column(rows, |row| row.raw.raw_headers().to_string()))
        .bind(column(rows, |row| row.reason.code.as_str()))
        .bind(column(rows, |row| row.reason.detail.as_deref()))
        .bind(column(rows, |row| row.time.map(Timestamp::get)))
        .bind(column(rows, |row| row.sequence.map(stored_version)))
        .bind(column(rows, |row| row.is_at_home))
}
