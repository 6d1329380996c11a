-- Indexes for readers, besides the primary keys. They are created last, because folding a whole log is
-- faster without them.
-- The indexes of pages are partial, although every user has a version > 0. This keeps the planner from using
-- them for lookups by key while a table is small.
CREATE INDEX IF NOT EXISTS users_page ON {g}.users (tenant_id, created_at, id) WHERE version > 0;
CREATE INDEX IF NOT EXISTS users_claims ON {g}.users USING gin (claims jsonb_path_ops);
-- A hash, because a text may be too long for an index entry.
CREATE INDEX IF NOT EXISTS users_subject ON {g}.users (tenant_id, md5(subject_id), created_at, id)
    WHERE subject_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS users_provider ON {g}.users (tenant_id, provider_id, created_at, id)
    WHERE provider_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS users_url ON {g}.users (tenant_id, md5(provider_url), created_at, id)
    WHERE provider_url IS NOT NULL;
-- No planner samples of these hashes either: they would outlive the rows.
ALTER INDEX {g}.users_subject ALTER COLUMN 2 SET STATISTICS 0;
ALTER INDEX {g}.users_url ALTER COLUMN 2 SET STATISTICS 0;
CREATE INDEX IF NOT EXISTS users_log ON {g}.users (log_partition, log_offset);
CREATE INDEX IF NOT EXISTS tombstones_log ON {g}.tombstones (log_partition, log_offset);
CREATE INDEX IF NOT EXISTS credentials_page ON {g}.credentials (tenant_id, user_id, created_at, id) WHERE issued;
