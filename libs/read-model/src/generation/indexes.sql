-- Indexes besides the primary keys. They are created last, because folding a whole log is faster without
-- them.
-- No index of users names a column that an update changes, not even in its condition. So an update is
-- heap-only: it makes no new entry in any index.
-- They are partial, although every row meets their conditions. This keeps the planner from using them for
-- lookups by key while a table is small.
CREATE INDEX IF NOT EXISTS users_page ON {g}.users (tenant_id, created_at, id) WHERE isfinite(created_at);
CREATE INDEX IF NOT EXISTS users_partition ON {g}.users (log_partition, tenant_id, id) WHERE isfinite(created_at);
CREATE INDEX IF NOT EXISTS tombstones_partition ON {g}.tombstones (log_partition, tenant_id, id) WHERE isfinite(deleted_at);
CREATE INDEX IF NOT EXISTS credentials_page ON {g}.credentials (tenant_id, user_id, created_at, id) WHERE issued;
