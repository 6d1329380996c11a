-- Updates a tenth of the users.
SET search_path = :schema;
CREATE TEMP TABLE changed AS
SELECT tenant_id, id, created_at, terms AS old, array_replace(terms, hashtextextended('big/ck5:leveln' || (claims ->> 'level'), 42),
    hashtextextended('big/ck5:leveln' || log_offset * 7 % 1000, 42)) AS new
FROM users WHERE tenant_id = 'big' AND log_offset % 10 = 3;
DELETE FROM postings p USING (SELECT created_at, id, term FROM changed, unnest(old) term WHERE term <> ALL (new)) o
WHERE p.term = o.term AND p.created_at = o.created_at AND p.user_id = o.id;
INSERT INTO postings SELECT term, created_at, id FROM changed, unnest(new) term WHERE term <> ALL (old);
UPDATE users u SET version = version + 1, claims = jsonb_set(claims, '{level}', to_jsonb((log_offset * 7 % 1000)::int)), log_offset = log_offset + 10000000,
    terms = new
FROM changed c WHERE u.tenant_id = c.tenant_id AND u.id = c.id;
