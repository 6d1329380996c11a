DELETE FROM users WHERE tenant_id = 'big' AND id = md5('new' || (SELECT nextval('bench.turn')))::uuid;
