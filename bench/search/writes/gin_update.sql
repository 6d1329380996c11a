\set rank random(1, :users)
\set level random(0, 999)
UPDATE users SET version = version + 1, claims = jsonb_set(claims, '{level}', to_jsonb(:level::int)), body = body || '', log_offset = log_offset + 10000000
WHERE tenant_id = 'big' AND id = md5('big' || :rank)::uuid;
