-- The users of the benchmark: :users in the tenant `big`, 100 in the tenant `small`.
-- `rank` is a user's place in the page order.
CREATE SCHEMA IF NOT EXISTS bench;
SET search_path = bench;

-- The scalars in a value, each with its path. `k<length>:<key>` is a step into an object, `a` one into an array.
CREATE OR REPLACE FUNCTION leaves(value jsonb) RETURNS TABLE (path text, leaf jsonb) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
WITH RECURSIVE node(path, value) AS (
    SELECT '', value
    UNION ALL
    SELECT node.path || child.step, child.value FROM node, LATERAL (
        SELECT 'k' || length(key) || ':' || key, e.value
        FROM jsonb_each(CASE jsonb_typeof(node.value) WHEN 'object' THEN node.value ELSE '{}' END) e
        UNION ALL
        SELECT 'a', e FROM jsonb_array_elements(CASE jsonb_typeof(node.value) WHEN 'array' THEN node.value ELSE '[]' END) e
    ) child(step, value)
)
SELECT path, value FROM node WHERE jsonb_typeof(value) NOT IN ('object', 'array')
$$;

-- A scalar as text. Equal scalars have equal texts, others have not.
CREATE OR REPLACE FUNCTION scalar(leaf jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE jsonb_typeof(leaf)
    WHEN 'string' THEN 's' || (leaf #>> '{}')
    WHEN 'number' THEN 'n' || trim_scale((leaf #>> '{}')::numeric)
    ELSE leaf::text END
$$;

-- The terms of a user or of criteria. The product uses a keyed hash in place of this one.
CREATE OR REPLACE FUNCTION terms(tenant text, claims jsonb, provider text, url text, subject text) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT coalesce(array_agg(DISTINCT hashtextextended(tenant || '/' || term, 42)), '{}') FROM (
    SELECT 'c' || path || bench.scalar(leaf) FROM bench.leaves(claims)
    UNION ALL SELECT 'p' || provider WHERE provider IS NOT NULL
    UNION ALL SELECT 'u' || url WHERE url IS NOT NULL
    UNION ALL SELECT 'i' || subject WHERE subject IS NOT NULL) t(term)
$$;

-- Nine claims. `tail` is clustered at the end of the order. `meet` has two values of which each user has one; both
-- only the last 50 users have.
CREATE OR REPLACE FUNCTION claims(rank bigint, users bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT jsonb_build_object(
    'externalUserId', 'u-' || rank,
    'email', 'ada' || rank || '@example.com',
    'level', rank % 1000,
    'active', rank % 2 = 0,
    'address', jsonb_build_object('city', CASE WHEN rank % 50 = 0 THEN 'Zurich' ELSE 'Bern' END, 'zip', 8000 + rank % 100),
    'groups', jsonb_build_array('staff', 'team-' || rank % 20),
    'tail', CASE WHEN rank > users * 0.98 THEN 'last-2' WHEN rank > users * 0.68 THEN 'last-30' ELSE 'no' END,
    'meet', CASE WHEN rank > users - 50 THEN '["a", "b"]' WHEN hashint8(rank) % 2 = 0 THEN '["a"]' ELSE '["b"]' END::jsonb,
    'profile', jsonb_build_object('a', jsonb_build_object('b', jsonb_build_array(jsonb_build_object('c', rank % 200)))))
$$;

DROP TABLE IF EXISTS source;
CREATE UNLOGGED TABLE source AS
SELECT *, terms(tenant_id, claims, provider_id::text, provider_url, subject_id) AS terms,
    json_build_object('id', id, 'claims', claims)::text AS body
FROM (
    SELECT tenant_id, rank, md5(tenant_id || rank)::uuid AS id, timestamptz '2026-01-01' + rank * interval '17 ms' AS created_at,
        claims(rank, users), '0b5e6f1c-58f1-4b0c-8f0f-4f2c0c7e9a01'::uuid AS provider_id, 'https://idp.example' AS provider_url,
        's-' || rank AS subject_id
    FROM (VALUES ('big', :users::bigint), ('small', 100)) t(tenant_id, users), generate_series(1, users) rank) u;

-- The searches: criteria, and which users match.
DROP TABLE IF EXISTS shapes;
CREATE TABLE shapes (nth int GENERATED ALWAYS AS IDENTITY, shape text, claims jsonb, provider_id uuid, provider_url text, subject_id text);
INSERT INTO shapes (shape, claims) VALUES
    ('unique', '{"externalUserId": "u-4711"}'),
    ('no match', '{"externalUserId": "nobody"}'),
    ('number 0.1 %', '{"level": 7}'),
    ('nested 2 %', '{"address": {"city": "Zurich"}}'),
    ('nested 98 %', '{"address": {"city": "Bern"}}'),
    ('last 2 %', '{"tail": "last-2"}'),
    ('last 30 %', '{"tail": "last-30"}'),
    ('common 50 %', '{"active": true}'),
    ('array 5 %', '{"groups": ["team-3"]}'),
    ('deep 0.5 %', '{"profile": {"a": {"b": [{"c": 7}]}}}'),
    ('two common', '{"active": true, "groups": ["staff"]}'),
    ('two common that meet late', '{"meet": ["a", "b"]}'),
    ('common + last 2 %', '{"active": true, "tail": "last-2"}'),
    ('common + rare', '{"active": true, "email": "ada4712@example.com"}'),
    ('never both', '{"active": true, "level": 7}'),
    ('ten terms', '{"active": true, "groups": ["staff", "team-10"], "level": 510, "tail": "no", "address": {"city": "Bern", "zip": 8010},
        "profile": {"a": {"b": [{"c": 110}]}}, "externalUserId": "u-4510", "email": "ada4510@example.com"}'),
    ('eight common', '{"active": true, "groups": ["staff", "team-10"], "tail": "no", "address": {"city": "Bern", "zip": 8010}}'),
    ('empty object', '{"address": {}}'),
    ('no such object', '{"level": {}}'),
    ('all', '{}');
INSERT INTO shapes (shape, claims, provider_url) VALUES ('link + two claims', '{"active": true, "level": 8}', 'https://idp.example'),
    ('link of all', '{}', 'https://idp.example');
INSERT INTO shapes (shape, claims, subject_id) VALUES ('subject', '{}', 's-4711');

-- Users to be created.
DROP TABLE IF EXISTS extra;
CREATE TABLE extra AS
SELECT *, terms(tenant_id, claims, provider_id::text, provider_url, subject_id) AS terms, json_build_object('id', id, 'claims', claims)::text AS body
FROM (SELECT 'big' AS tenant_id, rank, md5('new' || rank)::uuid AS id, timestamptz '2026-03-01' + rank * interval '17 ms' AS created_at,
        claims(rank + :users, :users) AS claims, '0b5e6f1c-58f1-4b0c-8f0f-4f2c0c7e9a01'::uuid AS provider_id, 'https://idp.example' AS provider_url,
        's-' || rank + :users AS subject_id
    FROM generate_series(1, 20000) rank) u;
ALTER TABLE extra ADD PRIMARY KEY (rank);
CREATE SEQUENCE IF NOT EXISTS turn;
