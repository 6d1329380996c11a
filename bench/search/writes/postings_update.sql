\set rank random(1, :users)
\set level random(0, 999)
WITH before AS MATERIALIZED (
    SELECT tenant_id, id, created_at, terms AS old, array_replace(terms, hashtextextended('big/ck5' || chr(58) || 'leveln' || (claims ->> 'level'), 42),
        hashtextextended('big/ck5' || chr(58) || 'leveln' || :level::int, 42)) AS new
    FROM users WHERE tenant_id = 'big' AND id = md5('big' || :rank)::uuid
), gone AS (
    DELETE FROM postings p USING (SELECT created_at, id, term FROM before, unnest(old) term WHERE term <> ALL (new)) o
    WHERE p.term = o.term AND p.created_at = o.created_at AND p.user_id = o.id
), added AS (
    INSERT INTO postings SELECT term, created_at, id FROM before, unnest(new) term WHERE term <> ALL (old)
)
UPDATE users u SET version = version + 1, claims = jsonb_set(claims, '{level}', to_jsonb(:level::int)), body = body || '', log_offset = log_offset + 10000000,
    terms = b.new
FROM before b WHERE u.tenant_id = b.tenant_id AND u.id = b.id;
