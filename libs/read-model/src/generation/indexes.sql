-- Indexes for readers, besides the primary keys. They are created last, because folding a whole log is
-- faster without them.
-- The indexes of pages are partial, although every user has a version > 0. This keeps the planner from using
-- them for lookups by key while a table is small.
CREATE INDEX IF NOT EXISTS users_page ON {g}.users (tenant_id, created_at, id) WHERE version > 0;
CREATE INDEX IF NOT EXISTS users_log ON {g}.users (log_partition, log_offset);
CREATE INDEX IF NOT EXISTS tombstones_log ON {g}.tombstones (log_partition, log_offset);
CREATE INDEX IF NOT EXISTS credentials_page ON {g}.credentials (tenant_id, user_id, created_at, id) WHERE issued;
