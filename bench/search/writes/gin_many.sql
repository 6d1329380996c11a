-- Updates a tenth of the users.
SET search_path = :schema;
UPDATE users SET version = version + 1, claims = jsonb_set(claims, '{level}', to_jsonb((log_offset * 7 % 1000)::int)), log_offset = log_offset + 10000000
WHERE tenant_id = 'big' AND log_offset % 10 = 3;
