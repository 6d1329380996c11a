SELECT u.body, c.created_at, u.id
FROM generate_series(:first_bucket::int, :first_bucket::int + :buckets::int - 1) b(n)
CROSS JOIN LATERAL (SELECT created_at, user_id FROM bucketed
    WHERE keys @> ARRAY(SELECT hashint8extended(t, b.n) FROM unnest(:terms::bigint[]) t)
        AND (created_at, user_id) > (:at::timestamptz, :id::uuid)
    ORDER BY created_at, user_id OFFSET 0) c
JOIN LATERAL (SELECT * FROM users WHERE tenant_id = :tenant AND id = c.user_id OFFSET 0) u
    ON u.claims @> :claims::jsonb AND (:url = '-' OR u.provider_url = :url) AND (:subject = '-' OR u.subject_id = :subject)
LIMIT 101;
