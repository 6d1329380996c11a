//! The statements on a generation's tables. `{g}` stands for its schema.
//!
//! Lists of keys meet tables by `column = ANY (ARRAY[key])` on the first column of the primary key, see [`service_kit::database::by_key`]. So
//! do dead letters by their owner; `topic <> 'credentials'` stands for `topic = 'users'`, which would bring another index in.

/// Version, tombstone and parking of users, by their place in the list that was asked for.
pub(super) const LOAD_USERS: &str = "\
SELECT k.n, u.version, t.version, EXISTS (SELECT FROM {g}.dead_letters d \
        WHERE d.topic <> 'credentials' AND d.at_home AND d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id) \
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY k(tenant_id, id, n) \
LEFT JOIN {g}.users u ON u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id \
LEFT JOIN {g}.tombstones t ON t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id";

/// What waits of those of them that are parked, in its order, and whether it waits for a key.
pub(super) const LOAD_QUEUES: &str = "\
SELECT d.tenant_id, d.user_id, d.partition, d.log_offset, d.sequence, d.reason = $3 \
FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
JOIN {g}.dead_letters d ON d.topic <> 'credentials' AND d.at_home AND d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id ORDER BY d.partition, d.log_offset";

/// Credentials, likewise.
pub(super) const LOAD_CREDENTIALS: &str = "\
SELECT k.n, c.created_at, c.status, c.body, c.log_offset FROM unnest($1::text[], $2::uuid[], $3::uuid[]) WITH ORDINALITY k(tenant_id, user_id, id, n) \
JOIN {g}.credentials c ON c.tenant_id = ANY (ARRAY[k.tenant_id]) AND c.user_id = k.user_id AND c.id = k.id";

/// A whole batch in one statement, so in one transaction and one round trip: fence, rows, announcement. It has all of its effects or, by
/// the error that `rollcall.fence` raises, none.
pub(super) const COMMIT: &str = "\
WITH moved AS (
    UPDATE rollcall.checkpoints c SET next_offset = f.next, record_time = coalesce(f.record_time, c.record_time), folded_at = now()
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
        AS f(topic, partition, expected, next, epoch, record_time)
    WHERE c.generation = $1 AND c.topic = f.topic AND c.partition = f.partition
        AND c.next_offset = f.expected AND c.epoch = f.epoch
    RETURNING 1
), created AS (
    INSERT INTO {g}.users (tenant_id, id, version, created_at, claims, provider_id, provider_url, subject_id, body, creation_digest,
        log_partition, log_offset, key_id)
    SELECT tenant_id, id, version, created_at, claims::jsonb, provider_id, provider_url, subject_id, body, creation_digest,
        log_partition, log_offset, key_id
    FROM unnest($8::text[], $9::uuid[], $10::bigint[], $11::text[], $12::uuid[], $13::text[], $14::text[], $15::text[], $16::int[],
        $17::bigint[], $18::timestamptz[], $19::bytea[], $50::uuid[])
        AS r(tenant_id, id, version, claims, provider_id, provider_url, subject_id, body, log_partition, log_offset, created_at,
            creation_digest, key_id)
    WHERE created_at IS NOT NULL
), updated AS (
    UPDATE {g}.users u SET version = r.version, claims = r.claims::jsonb, provider_id = r.provider_id, provider_url = r.provider_url,
        subject_id = r.subject_id, body = r.body, log_partition = r.log_partition, log_offset = r.log_offset, key_id = r.key_id
    FROM unnest($8::text[], $9::uuid[], $10::bigint[], $11::text[], $12::uuid[], $13::text[], $14::text[], $15::text[], $16::int[],
        $17::bigint[], $18::timestamptz[], $50::uuid[])
        AS r(tenant_id, id, version, claims, provider_id, provider_url, subject_id, body, log_partition, log_offset, created_at, key_id)
    WHERE r.created_at IS NULL AND u.tenant_id = ANY (ARRAY[r.tenant_id]) AND u.id = r.id
), gone AS (
    SELECT * FROM unnest($20::text[], $21::uuid[], $22::bigint[], $23::timestamptz[], $24::int[], $25::bigint[])
        AS r(tenant_id, id, version, deleted_at, log_partition, log_offset)
), tombstoned AS (
    INSERT INTO {g}.tombstones (tenant_id, id, version, deleted_at, log_partition, log_offset)
    SELECT * FROM gone
), users_gone AS (
    DELETE FROM {g}.users u USING gone WHERE u.tenant_id = ANY (ARRAY[gone.tenant_id]) AND u.id = gone.id
), credentials_gone AS (
    DELETE FROM {g}.credentials c USING gone WHERE c.tenant_id = ANY (ARRAY[gone.tenant_id]) AND c.user_id = gone.id
), letters_gone AS (
    DELETE FROM {g}.dead_letters d USING gone WHERE d.tenant_id = ANY (ARRAY[gone.tenant_id]) AND d.user_id = gone.id
), issued AS (
    INSERT INTO {g}.credentials AS c (tenant_id, user_id, id, created_at, issued, status, body, log_partition, log_offset)
    SELECT tenant_id, user_id, id, created_at, body IS NOT NULL, status, body, log_partition, log_offset
    FROM unnest($26::text[], $27::uuid[], $28::uuid[], $29::timestamptz[], $30::text[], $31::text[], $32::int[], $33::bigint[])
        AS r(tenant_id, user_id, id, created_at, status, body, log_partition, log_offset)
    ON CONFLICT (tenant_id, user_id, id) DO UPDATE SET created_at = excluded.created_at, issued = excluded.issued,
        status = excluded.status, body = excluded.body, log_partition = excluded.log_partition, log_offset = excluded.log_offset
), rejected AS (
    INSERT INTO {g}.rejections (partition, log_offset, reason) SELECT * FROM unnest($34::int[], $35::bigint[], $36::text[])
), letters AS (
    SELECT * FROM unnest($37::text[], $38::int[], $39::bigint[], $40::text[], $41::uuid[], $42::bytea[], $43::bytea[], $44::text[],
        $45::text[], $46::text[], $47::timestamptz[], $51::bigint[], $52::text[], $53::bool[])
        AS r(topic, partition, log_offset, tenant_id, user_id, key, value, headers, raw_headers, reason, record_time, sequence, detail,
            at_home)
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
        ORDER BY o.log_offset DESC OFFSET $48 - new.n LIMIT 1)
    RETURNING 1
)
SELECT (SELECT count(*) FROM displaced), rollcall.fence((SELECT count(*) FROM moved), cardinality($2::text[])),
    (SELECT count(pg_notify('rollcall_progress', payload)) FROM unnest($49::text[]) payload)";

/// The dead letters of a user that lie in the user's own partition, or the one that lies there and waits for nobody; in the order of the log,
/// users' facts first.
pub(super) const LOAD_QUEUE: &str = "\
SELECT d.topic, d.partition, d.log_offset, d.key, d.value, coalesce(d.raw_headers, d.headers), d.raw_headers IS NOT NULL, d.record_time \
FROM {g}.dead_letters named JOIN {g}.dead_letters d \
    ON d.id = named.id OR (named.at_home AND d.at_home AND d.tenant_id = named.tenant_id AND d.user_id = named.user_id) \
WHERE named.topic = $1 AND named.partition = $2 AND named.log_offset = $3 \
ORDER BY d.topic DESC, d.log_offset LIMIT $4";

/// The dead letters that were settled go, with what was said of them.
pub(super) const SETTLE: &str = "\
WITH settled AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS s(topic, log_offset)), \
    letters AS (DELETE FROM {g}.dead_letters d USING settled s \
        WHERE d.topic = s.topic AND d.partition = $3 AND d.log_offset = s.log_offset) \
DELETE FROM {g}.rejections r USING settled s WHERE s.topic = 'users' AND r.partition = $3 AND r.log_offset = s.log_offset";

/// What is said of those that stay.
pub(super) const REASONS: &str = "\
UPDATE {g}.dead_letters d SET reason = s.reason, detail = s.detail \
FROM unnest($1::text[], $2::bigint[], $4::text[], $5::text[]) AS s(topic, log_offset, reason, detail) \
WHERE d.topic = s.topic AND d.partition = $3 AND d.log_offset = s.log_offset AND (d.reason, d.detail) IS DISTINCT FROM (s.reason, s.detail)";

/// What a cache has to hold of one partition from an offset on: users with their bodies, deleted users and huge bodies as marks.
pub(super) const LOAD_BODIES: &str = "\
SELECT * FROM (
    (SELECT tenant_id, id, version, CASE WHEN octet_length(body) <= 16384 THEN body END, log_offset FROM {g}.users
     WHERE log_partition = $1 AND log_offset >= $2 AND log_offset < $3 ORDER BY log_offset LIMIT $4)
    UNION ALL
    (SELECT tenant_id, id, version, NULL, log_offset FROM {g}.tombstones
     WHERE log_partition = $1 AND log_offset >= $2 AND log_offset < $3 ORDER BY log_offset LIMIT $4)
) r ORDER BY log_offset LIMIT $4";

/// Takes everything personal of users out of a generation that is not the live one. Their rows stay, with their versions: a generation that is
/// being built has yet to come to their deletion.
pub(super) const BLANK: &str = "\
WITH gone AS (SELECT * FROM unnest($1::text[], $2::uuid[]) AS r(tenant_id, id)), \
    credentials AS (DELETE FROM {g}.credentials c USING gone WHERE c.tenant_id = ANY (ARRAY[gone.tenant_id]) AND c.user_id = gone.id), \
    letters AS (UPDATE {g}.dead_letters d SET key = NULL, value = NULL, headers = '[]', raw_headers = '[]' FROM gone \
        WHERE d.tenant_id = ANY (ARRAY[gone.tenant_id]) AND d.user_id = gone.id) \
UPDATE {g}.users u SET claims = '{}', provider_id = NULL, provider_url = NULL, subject_id = NULL, body = '', creation_digest = '' \
FROM gone WHERE u.tenant_id = ANY (ARRAY[gone.tenant_id]) AND u.id = gone.id";

/// Facts that were without effect as long as their key was missed, and had it all the same.
pub(super) const RESTORE: &str = "\
DELETE FROM {g}.rejections r USING unnest($1::int[], $2::bigint[]) AS f(partition, log_offset) \
WHERE r.partition = ANY (ARRAY[f.partition]) AND r.log_offset = f.log_offset";
