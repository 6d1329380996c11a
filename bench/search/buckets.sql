-- A GIN index over (bucket of the page order, term): a row for each user, with a hash for each pair. A bucket has 1,024
-- neighbours of the page order; how buckets are split when users are imported between others is left out.
DROP SCHEMA IF EXISTS :schema CASCADE;
CREATE SCHEMA :schema;
SET search_path = :schema;
CREATE TABLE users (
    tenant_id text COLLATE "C" NOT NULL, id uuid NOT NULL, version bigint NOT NULL, created_at timestamptz NOT NULL, claims jsonb NOT NULL,
    provider_id uuid, provider_url text, subject_id text, body text NOT NULL, creation_digest bytea NOT NULL,
    log_partition int NOT NULL, log_offset bigint NOT NULL, key_id uuid, terms bigint[] NOT NULL, PRIMARY KEY (tenant_id, id));
INSERT INTO users SELECT tenant_id, id, 1, created_at, claims, provider_id, provider_url, subject_id, body, '\x00', rank % 12, rank, id, terms
FROM bench.source WHERE rank <= :loaded;
CREATE INDEX users_page ON users (tenant_id, created_at, id) WHERE version > 0;
CREATE INDEX users_log ON users (log_partition, log_offset);
CREATE TABLE bucketed (bucket int NOT NULL, created_at timestamptz NOT NULL, user_id uuid PRIMARY KEY, keys bigint[] NOT NULL);
\timing on
INSERT INTO bucketed SELECT rank / 1024, created_at, id, (SELECT array_agg(hashint8extended(term, rank / 1024)) FROM unnest(terms) term)
FROM bench.source WHERE rank <= :loaded;
CREATE INDEX bucketed_keys ON bucketed USING gin (keys) WITH (fastupdate = off);
\timing off
