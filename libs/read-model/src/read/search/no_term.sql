-- Criteria without a term: all users of the tenant, in the order of pages.
WITH walk AS MATERIALIZED (
    SELECT created_at, id AS user_id FROM live.users
    WHERE tenant_id = $1 AND version > 0 AND isfinite(created_at)
        AND (created_at, id) > (coalesce($4::timestamptz, '-infinity'), $5::uuid)
    ORDER BY created_at, id LIMIT $10
