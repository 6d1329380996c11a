-- As many matches as fit into the page's bytes, $13, at least one. The sum runs over lengths, which
-- PostgreSQL knows without unpacking a body.
(SELECT body, created_at, id, NULL::bigint AS found FROM (
    SELECT body, created_at, id, row_number() OVER w AS nth, sum(octet_length(body) + 1) OVER w AS bytes FROM page
    WINDOW w AS (ORDER BY created_at, id ROWS UNBOUNDED PRECEDING)) weighed
WHERE nth <= $11 AND (nth = 1 OR bytes <= $13) ORDER BY created_at, id)
