-- The tables of a generation. {g} is its schema.
CREATE SCHEMA {g};

CREATE TABLE {g}.users (
    tenant_id text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    claims jsonb NOT NULL,
    provider_id uuid,
    provider_url text,
    subject_id text,
    body text NOT NULL,
    creation_digest bytea NOT NULL,
    log_partition int NOT NULL,
    log_offset bigint NOT NULL,
    -- The key under which the last event is sealed.
    key_id uuid,
    -- What search can ask for, as keyed hashes: see `domain::terms`.
    terms bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, id)
)
-- Room for one more row in each page: so the first update of a user is heap-only, too.
WITH (fillfactor = 75);
-- The planner's samples are copies of personal data. So there are none: no statement depends on them.
ALTER TABLE {g}.users ALTER COLUMN body SET STATISTICS 0, ALTER COLUMN creation_digest SET STATISTICS 0, ALTER COLUMN claims SET STATISTICS 0,
    ALTER COLUMN provider_id SET STATISTICS 0, ALTER COLUMN provider_url SET STATISTICS 0, ALTER COLUMN subject_id SET STATISTICS 0,
    ALTER COLUMN terms SET STATISTICS 0;

-- One row for each term of each user, in the order of pages. Frequent vacuums keep scans in the index.
CREATE TABLE {g}.postings (
    term bigint NOT NULL,
    created_at timestamptz NOT NULL,
    user_id uuid NOT NULL,
    PRIMARY KEY (term, created_at, user_id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);
ALTER TABLE {g}.postings ALTER COLUMN term SET STATISTICS 0, ALTER COLUMN created_at SET STATISTICS 0, ALTER COLUMN user_id SET STATISTICS 0;

CREATE TABLE {g}.tombstones (
    tenant_id text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    deleted_at timestamptz NOT NULL,
    log_partition int NOT NULL,
    log_offset bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE {g}.credentials (
    tenant_id text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    issued boolean NOT NULL,
    status text,
    body text,
    log_partition int NOT NULL,
    log_offset bigint NOT NULL,
    PRIMARY KEY (tenant_id, user_id, id)
);
ALTER TABLE {g}.credentials ALTER COLUMN status SET STATISTICS 0, ALTER COLUMN body SET STATISTICS 0;

CREATE TABLE {g}.rejections (
    partition int NOT NULL,
    log_offset bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (partition, log_offset)
);

CREATE TABLE {g}.dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition int NOT NULL,
    log_offset bigint NOT NULL,
    tenant_id text COLLATE "C",
    user_id uuid,
    key bytea,
    value bytea,
    headers jsonb NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    raw_headers jsonb,
    record_time timestamptz,
    -- The version that the record would give its user.
    sequence bigint,
    -- What the code in `reason` leaves open.
    detail text,
    -- Whether the record is in its owner's partition, under the owner's key. Only then are others queued
    -- behind it.
    at_home boolean NOT NULL DEFAULT true,
    UNIQUE (topic, partition, log_offset)
);
ALTER TABLE {g}.dead_letters ALTER COLUMN key SET STATISTICS 0, ALTER COLUMN value SET STATISTICS 0, ALTER COLUMN headers SET STATISTICS 0,
    ALTER COLUMN raw_headers SET STATISTICS 0;
CREATE INDEX dead_letters_owner ON {g}.dead_letters (tenant_id, user_id);
