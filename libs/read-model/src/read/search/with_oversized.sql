        ORDER BY created_at, user_id LIMIT $10)
        UNION ALL
        -- Users with too many terms are candidates of every search.
        (SELECT created_at, user_id FROM live.postings
        WHERE term = $3::bigint AND (created_at, user_id) > (coalesce($4::timestamptz, '-infinity'), $5::uuid)
        ORDER BY created_at, user_id LIMIT $10)
    ) candidates ORDER BY created_at, user_id LIMIT $10
