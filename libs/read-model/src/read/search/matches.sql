), page AS MATERIALIZED (
    -- Rows are looked up by the index of pages: neighbours there are often neighbours in the table. Up to
    -- fold 2 it is the index of users with a version > 0, and since then of those with a finite time.
    SELECT u.body, w.created_at, u.id FROM walk w
    JOIN LATERAL (SELECT * FROM live.users WHERE tenant_id = $1 AND version > 0 AND isfinite(created_at)
        AND (created_at, id) >= (w.created_at, w.user_id)
        AND (created_at, id) <= (w.created_at, w.user_id) ORDER BY created_at, id LIMIT 1) u
        ON u.claims @> $6::text::jsonb AND ($7::uuid IS NULL OR u.provider_id = $7) AND ($8::text IS NULL OR u.provider_url = $8)
            AND ($9::text IS NULL OR u.subject_id = $9)
    LIMIT $11::bigint + 1
)
