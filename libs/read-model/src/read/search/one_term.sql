-- Criteria with one term: its postings, and those of users with too many terms, in the order of pages.
WITH walk AS MATERIALIZED (
    SELECT created_at, user_id FROM (
        (SELECT created_at, user_id FROM live.postings
        WHERE term = ($2::bigint[])[1] AND (created_at, user_id) > (coalesce($4::timestamptz, '-infinity'), $5::uuid)
