-- What readers need beside the primary keys. Built last: a fold from the log's beginning is faster without them.
-- Those of the pages are partial, though every user has a version: so no lookup by key can take them in the place of the primary key,
-- which to the planner is no better while a table is small.
CREATE INDEX IF NOT EXISTS users_page ON {g}.users (tenant_id, created_at, id) WHERE version > 0;
CREATE INDEX IF NOT EXISTS users_claims ON {g}.users USING gin (claims jsonb_path_ops);
-- A hash, because a text may be longer than an index entry can be.
CREATE INDEX IF NOT EXISTS users_subject ON {g}.users (tenant_id, md5(subject_id), created_at, id)
    WHERE subject_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS users_provider ON {g}.users (tenant_id, provider_id, created_at, id)
    WHERE provider_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS users_url ON {g}.users (tenant_id, md5(provider_url), created_at, id)
    WHERE provider_url IS NOT NULL;
-- No samples of their hashes either, which outlive the last one of such rows.
ALTER INDEX {g}.users_subject ALTER COLUMN 2 SET STATISTICS 0;
ALTER INDEX {g}.users_url ALTER COLUMN 2 SET STATISTICS 0;
CREATE INDEX IF NOT EXISTS users_log ON {g}.users (log_partition, log_offset);
CREATE INDEX IF NOT EXISTS tombstones_log ON {g}.tombstones (log_partition, log_offset);
CREATE INDEX IF NOT EXISTS credentials_page ON {g}.credentials (tenant_id, user_id, created_at, id) WHERE issued;
