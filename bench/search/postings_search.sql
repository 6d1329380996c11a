WITH term AS MATERIALIZED (
    -- Where each term begins after the cursor, and how far its next postings reach.
    SELECT t.term, coalesce(near.created_at, 'infinity') AS near_at, near.user_id AS near_id,
        coalesce(far.created_at, 'infinity') AS far_at
    FROM unnest(:terms::bigint[]) t(term)
    LEFT JOIN LATERAL (SELECT created_at, user_id FROM postings p WHERE p.term = t.term
        AND (p.created_at, p.user_id) > (:at::timestamptz, :id::uuid) ORDER BY created_at, user_id LIMIT 1) near ON true
    LEFT JOIN LATERAL (SELECT created_at FROM postings p WHERE p.term = t.term
        AND (p.created_at, p.user_id) > (:at::timestamptz, :id::uuid) ORDER BY created_at, user_id OFFSET 50 LIMIT 1) far ON true
), start AS MATERIALIZED (
    -- No match is before the last of these places. A term without a place has no match at all.
    SELECT near_at, near_id FROM term ORDER BY near_at DESC, near_id DESC LIMIT 1
), walk AS MATERIALIZED (
    -- The postings of the term that is sparsest here, and of users with too many terms.
    SELECT created_at, user_id FROM (
        (SELECT created_at, user_id FROM postings
        WHERE term = (SELECT term FROM term ORDER BY far_at DESC, near_at DESC LIMIT 1)
            AND (created_at, user_id) >= ((SELECT near_at FROM start), (SELECT near_id FROM start))
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
-- Where the next page begins, if the walk ended before this one was full.
(SELECT NULL, created_at, user_id FROM walk WHERE (SELECT count(*) FROM page) <= 100 OFFSET :walk - 1 LIMIT 1);
