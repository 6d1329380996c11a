SELECT body, created_at, id FROM users WHERE tenant_id = :tenant AND version > 0
    AND claims @> :claims::jsonb :link AND (created_at, id) > (:at::timestamptz, :id::uuid) ORDER BY created_at, id LIMIT 101;
