-- Criteria with several terms: the postings of the one that is sparsest behind the cursor.
WITH term AS MATERIALIZED (
    -- Where each term begins behind the cursor, and how far its next postings reach.
    SELECT t.term, coalesce(near.created_at, 'infinity') AS near_at, near.user_id AS near_id,
        coalesce(far.created_at, 'infinity') AS far_at
    FROM unnest($2::bigint[]) t(term)
    LEFT JOIN LATERAL (SELECT created_at, user_id FROM live.postings p WHERE p.term = t.term
        AND (p.created_at, p.user_id) > (coalesce($4::timestamptz, '-infinity'), $5::uuid)
        ORDER BY created_at, user_id LIMIT 1) near ON true
    LEFT JOIN LATERAL (SELECT created_at FROM live.postings p WHERE p.term = t.term
        AND (p.created_at, p.user_id) > (coalesce($4::timestamptz, '-infinity'), $5::uuid)
        ORDER BY created_at, user_id OFFSET 50 LIMIT 1) far ON true
), start AS MATERIALIZED (
    -- No match is before the last of these places. A term without a place has no match at all.
    SELECT near_at, near_id FROM term ORDER BY near_at DESC, near_id DESC LIMIT 1
), walk AS MATERIALIZED (
    SELECT created_at, user_id FROM (
        (SELECT created_at, user_id FROM live.postings
        WHERE term = (SELECT term FROM term ORDER BY far_at DESC, near_at DESC LIMIT 1)
            AND (created_at, user_id) >= ((SELECT near_at FROM start), (SELECT near_id FROM start))
