-- One term: its postings in page order, no choice to make.
WITH walk AS MATERIALIZED (
    SELECT created_at, user_id FROM (
        (SELECT created_at, user_id FROM postings
        WHERE term = :term::bigint AND (created_at, user_id) > (:at::timestamptz, :id::uuid)
        ORDER BY created_at, user_id LIMIT :walk)
        UNION ALL
        (SELECT created_at, user_id FROM postings
        WHERE term = :oversized::bigint AND (created_at, user_id) > (:at::timestamptz, :id::uuid)
        ORDER BY created_at, user_id LIMIT :walk)
    ) w ORDER BY created_at, user_id LIMIT :walk
), page AS MATERIALIZED (
    SELECT u.body, w.created_at, u.id FROM walk w
    JOIN LATERAL (SELECT * FROM users WHERE tenant_id = :tenant AND version > 0 AND (created_at, id) >= (w.created_at, w.user_id)
        AND (created_at, id) <= (w.created_at, w.user_id) ORDER BY created_at, id LIMIT 1) u
        ON u.claims @> :claims::jsonb AND (:url = '-' OR u.provider_url = :url) AND (:subject = '-' OR u.subject_id = :subject)
    LIMIT 101
)
(SELECT body, created_at, id FROM page LIMIT 100)
UNION ALL
(SELECT NULL, created_at, user_id FROM walk WHERE (SELECT count(*) FROM page) <= 100 OFFSET :walk - 1 LIMIT 1);
