-- Checks on generated JSON that whoever contains criteria has all of their terms. Prints pairs, matches, and matches
-- that terms would lose, which must be 0.
SET search_path = bench;
CREATE OR REPLACE FUNCTION pg_temp.value(depth int) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE kind int := floor(random() * CASE WHEN depth > 0 THEN 9 ELSE 6 END);
BEGIN
    RETURN CASE kind
        WHEN 0 THEN 'null' WHEN 1 THEN to_jsonb(random() < 0.5)
        WHEN 2 THEN (ARRAY['1', '1.0', '10e-1', '0', '-0.0', '1e300', '10e299', '18446744073709551615', '1e-3', '0.001'])[1 + floor(random() * 10)]::jsonb
        WHEN 3 THEN to_jsonb((ARRAY['', '1', 'a', 'é', 'true', 'null', E'\u0301'])[1 + floor(random() * 7)])
        WHEN 4 THEN '{}' WHEN 5 THEN '[]'
        WHEN 6 THEN (SELECT jsonb_agg(pg_temp.value(depth - 1)) FROM generate_series(0, floor(random() * 3)::int))
        ELSE (SELECT jsonb_object_agg((ARRAY['a', 'b', 'ab', 'a1:b'])[1 + floor(random() * 4)], pg_temp.value(depth - 1))
            FROM generate_series(0, floor(random() * 2)::int)) END;
END $$;
CREATE TEMP TABLE document AS
SELECT jsonb_build_object('a', pg_temp.value(4), 'b', pg_temp.value(2)) AS value FROM generate_series(1, 1500);
CREATE TEMP TABLE hashed AS SELECT value, terms('t', value, NULL, NULL, NULL) AS terms FROM document
UNION ALL SELECT jsonb_build_object('a', value -> 'a'), terms('t', jsonb_build_object('a', value -> 'a'), NULL, NULL, NULL) FROM document
-- 32 levels.
UNION ALL SELECT v, terms('t', v, NULL, NULL, NULL) FROM (SELECT (repeat('{"a":', 31) || '[1, "x"]' || repeat('}', 31))::jsonb UNION ALL
    SELECT (repeat('{"a":', 31) || '[1.0, 1]' || repeat('}', 31))::jsonb) d(v);
SELECT count(*) AS pairs, count(*) FILTER (WHERE u.value @> c.value) AS matches,
    count(*) FILTER (WHERE u.value @> c.value AND NOT u.terms @> c.terms) AS lost,
    count(*) FILTER (WHERE NOT u.value @> c.value AND u.terms @> c.terms AND c.terms <> '{}') AS candidates_only
FROM hashed u, hashed c;
