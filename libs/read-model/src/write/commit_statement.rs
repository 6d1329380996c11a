//! The statement of a commit: the fence, the rows and the announcements in one round trip.

use super::{
    Effects, MAX_CREDENTIAL_LETTERS,
    commit_rows::{
        CREDENTIALS, DEAD_LETTERS, FIRST_ROW_PARAMETER, REJECTIONS, Rows, SPANS, TOMBSTONES, USERS,
    },
};
use crate::announcement::CHANNEL;

/// All effects of a batch in one statement, so in one transaction and one round trip.
///
/// This statement checks the fence: `rollcall.fence` (`migrations/0001_baseline.sql`) raises
/// [`FENCED`](super::ownership::FENCED) unless every checkpoint has moved, and then nothing has an
/// effect.
///
/// `{users}` and the like stand for rows `r`, see [`super::commit_rows`]. `$1` is the generation,
/// `$2` the announcements, `{effects}` the statements below.
const COMMIT: &str = "\
WITH moved AS (
    UPDATE rollcall.checkpoints c SET next_offset = r.next, record_time = coalesce(r.record_time, c.record_time), folded_at = now()
    FROM {spans}
    WHERE c.generation = $1 AND c.topic = r.topic AND c.partition = r.partition
        AND c.next_offset = r.expected AND c.epoch = r.epoch
    RETURNING 1
){effects}
SELECT {displaced}, rollcall.fence((SELECT count(*) FROM moved), cardinality($3::text[])),
    (SELECT count(pg_notify('{channel}', payload)) FROM unnest($2::text[]) payload)";

/// Adds and changes users.
const WRITE_USERS: &str = ", written AS (
    SELECT * FROM {users}
), created AS (
    INSERT INTO {g}.users (tenant_id, id, version, created_at, claims, provider_id, provider_url, subject_id, body, creation_digest,
        log_partition, log_offset, key_id, terms)
    SELECT tenant_id, id, version, created_at, claims::jsonb, provider_id, provider_url, subject_id, body, creation_digest,
        log_partition, log_offset, key_id, terms::bigint[]
    FROM written
    WHERE created_at IS NOT NULL
), updated AS (
    UPDATE {g}.users u SET version = r.version, claims = r.claims::jsonb, provider_id = r.provider_id, provider_url = r.provider_url,
        subject_id = r.subject_id, body = r.body, log_partition = r.log_partition, log_offset = r.log_offset, key_id = r.key_id,
        terms = r.terms::bigint[]
    FROM written r
    WHERE r.created_at IS NULL AND u.tenant_id = ANY (ARRAY[r.tenant_id]) AND u.id = r.id
)";

/// Writes the postings of these users, as far as they change. All parts of a statement read the
/// same snapshot, so `changed` sees the old terms.
///
/// Postings are deleted by a list of keys of its own. Joined with two lists, PostgreSQL may look up
/// the term alone and read all postings that have it.
const WRITE_POSTINGS: &str = ", changed AS (
    SELECT u.created_at, u.id, u.terms AS old, r.terms::bigint[] AS new FROM written r
    JOIN {g}.users u ON u.tenant_id = ANY (ARRAY[r.tenant_id]) AND u.id = r.id
    WHERE r.created_at IS NULL
), removed AS MATERIALIZED (
    SELECT term, created_at, id FROM changed, unnest(old) term WHERE term <> ALL (new)
), postings_removed AS (
    DELETE FROM {g}.postings p USING removed o
    WHERE p.term = ANY (ARRAY[o.term]) AND p.created_at = o.created_at AND p.user_id = o.id
), postings_added AS (
    INSERT INTO {g}.postings (term, created_at, user_id)
    SELECT term, created_at, id FROM changed, unnest(new) term WHERE term <> ALL (old)
    UNION ALL
    SELECT term, created_at, id FROM written, unnest(terms::bigint[]) term WHERE created_at IS NOT NULL
)";

/// Deletes users, with everything about them.
const DELETE_USERS: &str = ", gone AS (
    SELECT * FROM {tombstones}
), tombstoned AS (
    INSERT INTO {g}.tombstones (tenant_id, id, version, deleted_at, log_partition, log_offset)
    SELECT * FROM gone
), users_gone AS (
    DELETE FROM {g}.users u USING gone WHERE u.tenant_id = ANY (ARRAY[gone.tenant_id]) AND u.id = gone.id
    RETURNING u.created_at, u.id, u.terms
), terms_gone AS MATERIALIZED (
    SELECT term, created_at, id FROM users_gone, unnest(terms) term
), postings_gone AS (
    DELETE FROM {g}.postings p USING terms_gone o
    WHERE p.term = ANY (ARRAY[o.term]) AND p.created_at = o.created_at AND p.user_id = o.id
), credentials_gone AS (
    DELETE FROM {g}.credentials c USING gone WHERE c.tenant_id = ANY (ARRAY[gone.tenant_id]) AND c.user_id = gone.id
), letters_gone AS (
    DELETE FROM {g}.dead_letters d USING gone WHERE d.tenant_id = ANY (ARRAY[gone.tenant_id]) AND d.user_id = gone.id
)";

/// Writes credentials.
const WRITE_CREDENTIALS: &str = ", issued AS (
    INSERT INTO {g}.credentials AS c (tenant_id, user_id, id, created_at, issued, status, body, log_partition, log_offset)
    SELECT tenant_id, user_id, id, created_at, body IS NOT NULL, status, body, log_partition, log_offset
    FROM {credentials}
    ON CONFLICT (tenant_id, user_id, id) DO UPDATE SET created_at = excluded.created_at, issued = excluded.issued,
        status = excluded.status, body = excluded.body, log_partition = excluded.log_partition, log_offset = excluded.log_offset
)";

/// Records events without effect.
const REJECT: &str = ", rejected AS (
    INSERT INTO {g}.rejections (partition, log_offset, reason) SELECT * FROM {rejections}
)";

/// Adds dead letters. Of `users.credentials`, only the newest `{limit}` of each partition stay.
const PARK: &str = ", letters AS (
    SELECT * FROM {dead_letters}
), parked AS (
    INSERT INTO {g}.dead_letters (topic, partition, log_offset, tenant_id, user_id, key, value, headers, raw_headers, reason, record_time,
        sequence, detail, at_home)
    SELECT topic, partition, log_offset, tenant_id, user_id, key, value, headers::jsonb, raw_headers::jsonb, reason, record_time, sequence,
        detail, at_home
    FROM letters
), displaced AS (
    DELETE FROM {g}.dead_letters d USING (SELECT partition, count(*) AS n FROM letters WHERE topic = 'credentials' GROUP BY partition) new
    WHERE d.topic = 'credentials' AND d.partition = new.partition AND d.log_offset <= (
        SELECT o.log_offset FROM {g}.dead_letters o WHERE o.topic = 'credentials' AND o.partition = new.partition
        ORDER BY o.log_offset DESC OFFSET {limit} - new.n LIMIT 1)
    RETURNING 1
)";

/// How many dead letters newer ones displaced.
const COUNT_DISPLACED: &str = "(SELECT count(*) FROM displaced)";

/// The two statements of a commit. PostgreSQL starts every part of a statement on each execution,
/// even unused ones. So common batches use a shorter statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Adds and changes users, and records events without effect.
    UsersOnly,
    /// Has all effects.
    Full,
}

impl Shape {
    /// The shortest statement for these effects.
    pub(super) fn of(effects: &Effects) -> Self {
        let has_users_only = effects.tombstones.is_empty()
            && effects.credentials.is_empty()
            && effects.dead_letters.is_empty();
        if has_users_only { Self::UsersOnly } else { Self::Full }
    }

    /// The kinds of rows, in binding order.
    pub(super) fn rows(self) -> &'static [&'static Rows] {
        match self {
            Self::UsersOnly => &[&SPANS, &USERS, &REJECTIONS],
            Self::Full => &[&SPANS, &USERS, &REJECTIONS, &TOMBSTONES, &CREDENTIALS, &DEAD_LETTERS],
        }
    }

    fn effects(self) -> &'static [&'static str] {
        match self {
            Self::UsersOnly => &[REJECT],
            Self::Full => &[REJECT, DELETE_USERS, WRITE_CREDENTIALS, PARK],
        }
    }

    /// The statement on the generation `{g}`, which has postings or not.
    pub(super) fn statement(self, has_postings: bool) -> String {
        let write_postings = if has_postings { WRITE_POSTINGS } else { "" };
        let effects = [WRITE_USERS, write_postings].into_iter().chain(self.effects().iter().copied());
        let displaced = if self == Self::Full { COUNT_DISPLACED } else { "0::bigint" };
        let mut text = COMMIT
            .replace("{effects}", &effects.collect::<String>())
            .replace("{displaced}", displaced)
            .replace("{channel}", CHANNEL)
            .replace("{limit}", &MAX_CREDENTIAL_LETTERS.to_string());
        // `{users}` and the like become `unnest($n::text[], …) AS r(tenant_id, …)`.
        let mut first = FIRST_ROW_PARAMETER;
        for rows in self.rows() {
            text = text.replace(&format!("{{{}}}", rows.name), &rows.unnest(first));
            first += rows.columns.len();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SearchSecret,
        write::{commit_rows::CommitRows, ownership::Epochs},
    };
    use sqlx::{AssertSqlSafe, Execute as _};

    #[test]
    fn every_parameter_is_bound() {
        let shapes = [Shape::UsersOnly, Shape::Full].into_iter();
        for (shape, has_postings) in shapes.flat_map(|shape| [(shape, false), (shape, true)]) {
            let text = shape.statement(has_postings);
            assert!(!text.replace("{g}", "").contains('{'), "{text}");
            let declared =
                FIRST_ROW_PARAMETER - 1 + shape.rows().iter().map(|rows| rows.columns.len()).sum::<usize>();
            let used = (1..=declared + 1).filter(|n| {
                text.match_indices(&format!("${n}")).any(|(at, found)| {
                    !text[at + found.len()..].starts_with(|next: char| next.is_ascii_digit())
                })
            });
            assert_eq!(used.max(), Some(declared));
            let (effects, epochs) = (Effects::default(), Epochs::default());
            let (announcements, secret) = (Vec::new(), &SearchSecret::of_tests());
            let rows =
                CommitRows { generation: 1, announcements, effects: &effects, epochs: &epochs, secret };
            let query = sqlx::query_as::<_, (i64, i64, i64)>(AssertSqlSafe(text.as_str()));
            let bound = rows.bind(shape, query).take_arguments().unwrap().unwrap();
            assert_eq!(sqlx::Arguments::len(&bound), declared);
        }
    }
}
