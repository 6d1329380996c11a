-- Criteria without a term: the page order is walked.
WITH walk AS MATERIALIZED (
    SELECT body, claims, provider_url, subject_id, created_at, id FROM users WHERE tenant_id = :tenant AND version > 0
        AND (created_at, id) > (:at::timestamptz, :id::uuid) ORDER BY created_at, id LIMIT :walk
), page AS MATERIALIZED (
    SELECT body, created_at, id FROM walk
    WHERE claims @> :claims::jsonb AND (:url = '-' OR provider_url = :url) AND (:subject = '-' OR subject_id = :subject)
    LIMIT 101
)
(SELECT body, created_at, id FROM page LIMIT 100)
UNION ALL
(SELECT NULL, created_at, id FROM walk WHERE (SELECT count(*) FROM page) <= 100 OFFSET :walk - 1 LIMIT 1);
