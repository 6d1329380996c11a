-- A posting for each term of each user, in page order. :schema names the variant, :log whether users keep the index on
-- the log's position.
DROP SCHEMA IF EXISTS :schema CASCADE;
CREATE SCHEMA :schema;
SET search_path = :schema;
CREATE TABLE users (
    tenant_id text COLLATE "C" NOT NULL, id uuid NOT NULL, version bigint NOT NULL, created_at timestamptz NOT NULL, claims jsonb NOT NULL,
    provider_id uuid, provider_url text, subject_id text, body text NOT NULL, creation_digest bytea NOT NULL,
    log_partition int NOT NULL, log_offset bigint NOT NULL, key_id uuid, terms bigint[] NOT NULL, PRIMARY KEY (tenant_id, id))
    WITH (fillfactor = :fillfactor);
CREATE TABLE postings (term bigint NOT NULL, created_at timestamptz NOT NULL, user_id uuid NOT NULL);
INSERT INTO users SELECT tenant_id, id, 1, created_at, claims, provider_id, provider_url, subject_id, body, '\x00', rank % 12, rank, id, terms
FROM bench.source WHERE rank <= :loaded;
CREATE INDEX users_page ON users (tenant_id, created_at, id) WHERE version > 0;
\if :log
CREATE INDEX users_log ON users (log_partition, log_offset);
\endif
\timing on
INSERT INTO postings SELECT term, created_at, id FROM users, unnest(terms) term;
ALTER TABLE postings ADD PRIMARY KEY (term, created_at, user_id);
\timing off
