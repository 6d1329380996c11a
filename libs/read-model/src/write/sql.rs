//! The statements on a generation's tables. `{g}` stands for its schema.
//!
//! Lists of keys are joined by `column = ANY (ARRAY[key])` on the first column of the primary key,
//! see [`service_kit::database::by_key`]; dead letters likewise, by their owner. `topic <>
//! 'credentials'` stands for `topic = 'users'`, which would let the planner take another index.

/// Version, tombstone and parking of users, with their place in the list of keys.
pub(super) const LOAD_USERS: &str = "\
SELECT k.n, u.version, t.version, EXISTS (SELECT FROM {g}.dead_letters d \
        WHERE d.topic <> 'credentials' AND d.at_home AND d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id) \
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY k(tenant_id, id, n) \
LEFT JOIN {g}.users u ON u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id \
LEFT JOIN {g}.tombstones t ON t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id";

/// The waiting records of parked users in the order of the log, and whether they wait for a key.
pub(super) const LOAD_QUEUES: &str = "\
SELECT d.tenant_id, d.user_id, d.partition, d.log_offset, d.sequence, d.reason = $3 \
FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
JOIN {g}.dead_letters d ON d.topic <> 'credentials' AND d.at_home AND d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id ORDER BY d.partition, d.log_offset";

/// Credentials, with their place in the list of keys.
pub(super) const LOAD_CREDENTIALS: &str = "\
SELECT k.n, c.created_at, c.status, c.body, c.log_offset FROM unnest($1::text[], $2::uuid[], $3::uuid[]) WITH ORDINALITY k(tenant_id, user_id, id, n) \
JOIN {g}.credentials c ON c.tenant_id = ANY (ARRAY[k.tenant_id]) AND c.user_id = k.user_id AND c.id = k.id";

/// All effects of a batch in one statement, so in one transaction and one round trip: fence, rows,
/// announcements. `rollcall.fence` raises an error where a checkpoint did not move, so that nothing
/// has an effect then. `{users}` and the like stand for rows `r`, see [`super::commit_rows`]; `$1`
/// is the generation, `$2` the announcements, and `{effects}` what follows below.
pub(super) const COMMIT: &str = "\
WITH moved AS (
    UPDATE rollcall.checkpoints c SET next_offset = r.next, record_time = coalesce(r.record_time, c.record_time), folded_at = now()
    FROM {spans}
    WHERE c.generation = $1 AND c.topic = r.topic AND c.partition = r.partition
        AND c.next_offset = r.expected AND c.epoch = r.epoch
    RETURNING 1
){effects}
SELECT {displaced}, rollcall.fence((SELECT count(*) FROM moved), cardinality($3::text[])),
    (SELECT count(pg_notify('rollcall_progress', payload)) FROM unnest($2::text[]) payload)";

/// Adds and changes users.
pub(super) const WRITE_USERS: &str = ", created AS (
    INSERT INTO {g}.users (tenant_id, id, version, created_at, claims, provider_id, provider_url, subject_id, body, creation_digest,
        log_partition, log_offset, key_id)
    SELECT tenant_id, id, version, created_at, claims::jsonb, provider_id, provider_url, subject_id, body, creation_digest,
        log_partition, log_offset, key_id
    FROM {users}
    WHERE created_at IS NOT NULL
), updated AS (
    UPDATE {g}.users u SET version = r.version, claims = r.claims::jsonb, provider_id = r.provider_id, provider_url = r.provider_url,
        subject_id = r.subject_id, body = r.body, log_partition = r.log_partition, log_offset = r.log_offset, key_id = r.key_id
    FROM {users}
    WHERE r.created_at IS NULL AND u.tenant_id = ANY (ARRAY[r.tenant_id]) AND u.id = r.id
)";

/// Deletes users, with everything about them.
pub(super) const DELETE_USERS: &str = ", gone AS (
    SELECT * FROM {tombstones}
), tombstoned AS (
    INSERT INTO {g}.tombstones (tenant_id, id, version, deleted_at, log_partition, log_offset)
    SELECT * FROM gone
), users_gone AS (
    DELETE FROM {g}.users u USING gone WHERE u.tenant_id = ANY (ARRAY[gone.tenant_id]) AND u.id = gone.id
), credentials_gone AS (
    DELETE FROM {g}.credentials c USING gone WHERE c.tenant_id = ANY (ARRAY[gone.tenant_id]) AND c.user_id = gone.id
), letters_gone AS (
    DELETE FROM {g}.dead_letters d USING gone WHERE d.tenant_id = ANY (ARRAY[gone.tenant_id]) AND d.user_id = gone.id
)";

/// Writes credentials.
pub(super) const WRITE_CREDENTIALS: &str = ", issued AS (
    INSERT INTO {g}.credentials AS c (tenant_id, user_id, id, created_at, issued, status, body, log_partition, log_offset)
    SELECT tenant_id, user_id, id, created_at, body IS NOT NULL, status, body, log_partition, log_offset
    FROM {credentials}
    ON CONFLICT (tenant_id, user_id, id) DO UPDATE SET created_at = excluded.created_at, issued = excluded.issued,
        status = excluded.status, body = excluded.body, log_partition = excluded.log_partition, log_offset = excluded.log_offset
)";

/// Records events without effect.
pub(super) const REJECT: &str = ", rejected AS (
    INSERT INTO {g}.rejections (partition, log_offset, reason) SELECT * FROM {rejections}
)";

/// Adds dead letters. Of `users.credentials`, only the newest `{limit}` of each partition stay.
pub(super) const PARK: &str = ", letters AS (
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
pub(super) const COUNT_DISPLACED: &str = "(SELECT count(*) FROM displaced)";

/// The queue of a dead letter: all letters of its user in the user's own partition, or the letter
/// alone if it waits for nobody. In the order of the log, `users.events` first.
pub(super) const LOAD_QUEUE: &str = "\
SELECT d.topic, d.partition, d.log_offset, d.key, d.value, coalesce(d.raw_headers, d.headers), d.raw_headers IS NOT NULL, d.record_time \
FROM {g}.dead_letters named JOIN {g}.dead_letters d \
    ON d.id = named.id OR (named.at_home AND d.at_home AND d.tenant_id = named.tenant_id AND d.user_id = named.user_id) \
WHERE named.topic = $1 AND named.partition = $2 AND named.log_offset = $3 \
ORDER BY d.topic DESC, d.log_offset LIMIT $4";

/// Deletes resolved dead letters and their rejections.
pub(super) const RESOLVE: &str = "\
WITH resolved AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS s(topic, log_offset)), \
    letters AS (DELETE FROM {g}.dead_letters d USING resolved s \
        WHERE d.topic = s.topic AND d.partition = $3 AND d.log_offset = s.log_offset) \
DELETE FROM {g}.rejections r USING resolved s WHERE s.topic = 'users' AND r.partition = $3 AND r.log_offset = s.log_offset";

/// Updates the reasons of dead letters that remain.
pub(super) const UPDATE_REASONS: &str = "\
UPDATE {g}.dead_letters d SET reason = s.reason, detail = s.detail \
FROM unnest($1::text[], $2::bigint[], $4::text[], $5::text[]) AS s(topic, log_offset, reason, detail) \
WHERE d.topic = s.topic AND d.partition = $3 AND d.log_offset = s.log_offset AND (d.reason, d.detail) IS DISTINCT FROM (s.reason, s.detail)";

/// What a cache has to hold of one partition from an offset on: users with their bodies; deleted
/// users and large bodies without.
pub(super) const LOAD_BODIES: &str = "\
SELECT * FROM (
    (SELECT tenant_id, id, version, CASE WHEN octet_length(body) <= 16384 THEN body END, log_offset FROM {g}.users
     WHERE log_partition = $1 AND log_offset >= $2 AND log_offset < $3 ORDER BY log_offset LIMIT $4)
    UNION ALL
    (SELECT tenant_id, id, version, NULL, log_offset FROM {g}.tombstones
     WHERE log_partition = $1 AND log_offset >= $2 AND log_offset < $3 ORDER BY log_offset LIMIT $4)
) r ORDER BY log_offset LIMIT $4";

/// Removes everything personal of users from a generation that is not the live one. The rows stay,
/// with their versions: a generation that is being built has yet to fold the deletion.
pub(super) const BLANK: &str = "\
WITH gone AS (SELECT * FROM unnest($1::text[], $2::uuid[]) AS r(tenant_id, id)), \
    credentials AS (DELETE FROM {g}.credentials c USING gone WHERE c.tenant_id = ANY (ARRAY[gone.tenant_id]) AND c.user_id = gone.id), \
    letters AS (UPDATE {g}.dead_letters d SET key = NULL, value = NULL, headers = '[]', raw_headers = '[]' FROM gone \
        WHERE d.tenant_id = ANY (ARRAY[gone.tenant_id]) AND d.user_id = gone.id) \
UPDATE {g}.users u SET claims = '{}', provider_id = NULL, provider_url = NULL, subject_id = NULL, body = '', creation_digest = '' \
FROM gone WHERE u.tenant_id = ANY (ARRAY[gone.tenant_id]) AND u.id = gone.id";

/// Deletes rejections of events that were parked for a missing key and had their effect after all.
pub(super) const RESTORE: &str = "\
DELETE FROM {g}.rejections r USING unnest($1::int[], $2::bigint[]) AS f(partition, log_offset) \
WHERE r.partition = ANY (ARRAY[f.partition]) AND r.log_offset = f.log_offset";
