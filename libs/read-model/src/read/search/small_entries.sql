-- The matches with their bodies, unless a body has more than its share of the page's bytes, $13.
(SELECT CASE WHEN octet_length(body) < $13::bigint / $11 THEN body END AS body, created_at, id, NULL::bigint AS found FROM page LIMIT $11)
