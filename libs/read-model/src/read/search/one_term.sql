-- Criteria with one term: its postings, and those of users with too many terms, in the order of pages.
WITH walk AS MATERIALIZED (
    SELECT created_at, user_id FROM (
        (SELECT created_at, user_id FROM live.postings
        WHERE term = ($2::bigint[])[1] AND (created_at, user_id) > (coalesce($4::timestamptz, '-infinity'), $5::uuid)
        ORDER BY created_at, user_id LIMIT $10)
        UNION ALL
        (SELECT created_at, user_id FROM live.postings
        WHERE term = $3::bigint AND (created_at, user_id) > (coalesce($4::timestamptz, '-infinity'), $5::uuid)
        ORDER BY created_at, user_id LIMIT $10)
    ) candidates ORDER BY created_at, user_id LIMIT $10
