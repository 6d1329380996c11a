INSERT INTO users SELECT tenant_id, id, 1, created_at, claims, provider_id, provider_url, subject_id, body, '\x00', rank % 12, rank, id
FROM bench.extra WHERE rank = (SELECT nextval('bench.turn'));
