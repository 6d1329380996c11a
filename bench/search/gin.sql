-- Today's structure (libs/read-model/src/generation), and :schema names the variant.
DROP SCHEMA IF EXISTS :schema CASCADE;
CREATE SCHEMA :schema;
SET search_path = :schema;
CREATE TABLE users (
    tenant_id text COLLATE "C" NOT NULL, id uuid NOT NULL, version bigint NOT NULL, created_at timestamptz NOT NULL, claims jsonb NOT NULL,
    provider_id uuid, provider_url text, subject_id text, body text NOT NULL, creation_digest bytea NOT NULL,
    log_partition int NOT NULL, log_offset bigint NOT NULL, key_id uuid, PRIMARY KEY (tenant_id, id));
INSERT INTO users SELECT tenant_id, id, 1, created_at, claims, provider_id, provider_url, subject_id, body, '\x00', rank % 12, rank, id
FROM bench.source WHERE rank <= :loaded;
\timing on
CREATE INDEX users_claims ON users USING gin (claims jsonb_path_ops) WITH (fastupdate = :fastupdate);
\timing off
CREATE INDEX users_page ON users (tenant_id, created_at, id) WHERE version > 0;
CREATE INDEX users_subject ON users (tenant_id, md5(subject_id), created_at, id) WHERE subject_id IS NOT NULL;
CREATE INDEX users_provider ON users (tenant_id, provider_id, created_at, id) WHERE provider_id IS NOT NULL;
CREATE INDEX users_url ON users (tenant_id, md5(provider_url), created_at, id) WHERE provider_url IS NOT NULL;
CREATE INDEX users_log ON users (log_partition, log_offset);
