WITH gone AS (DELETE FROM users WHERE tenant_id = 'big' AND id = md5('new' || (SELECT nextval('bench.turn')))::uuid RETURNING *)
DELETE FROM postings p USING (SELECT term, created_at, id FROM gone, unnest(terms) term) g
WHERE p.term = g.term AND p.created_at = g.created_at AND p.user_id = g.id;
