UNION ALL
-- The last candidate, if the walk ended there before the page was full.
(SELECT NULL, created_at, user_id, -1 FROM walk WHERE (SELECT count(*) FROM page) <= $11 OFFSET $10 - 1 LIMIT 1)
UNION ALL
-- How many matches there are. Without this row, the postings of the live generation can't be used:
-- they are not complete, or were made under another secret.
(SELECT NULL, NULL, NULL, (SELECT count(*) FROM page) FROM rollcall.generations g
WHERE g.state = 'live' AND g.has_postings AND EXISTS (SELECT FROM rollcall.search_secret s WHERE s.is_one AND s.id = $12))
