-- The key store: outside the read model and its generations, with a schema and a role of its own, so that it can be in another database and
-- have its own backups. Run again and again: every statement is without effect where its work is done.
CREATE SCHEMA IF NOT EXISTS rollcall_keys;

-- The master keys under which something is wrapped. A rotation ends by removing the old one here, which the references forbid as long as
-- anything is wrapped under it, whoever wraps meanwhile.
CREATE TABLE IF NOT EXISTS rollcall_keys.masters (
    id text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);

-- One for each owner that has anything sealed.
CREATE TABLE IF NOT EXISTS rollcall_keys.data_keys (
    tenant_id text COLLATE "C" NOT NULL,
    owner_id uuid NOT NULL,
    id uuid NOT NULL,
    wrapped bytea NOT NULL,
    master_id text NOT NULL REFERENCES rollcall_keys.masters,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When somebody was last about to use it for the first time: an orphan is one that was asked for long ago.
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, owner_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);
-- The planner's samples of wrapped keys would outlive the keys. Asked for first: even an ALTER without effect waits for a vacuum.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall_keys.data_keys'::regclass AND attname = 'wrapped' AND attstattarget IS DISTINCT FROM 0) THEN
        ALTER TABLE rollcall_keys.data_keys ALTER COLUMN wrapped SET STATISTICS 0;
    END IF;
END $$;

-- Columns that came later. Asked for first: even an ALTER without effect waits for everybody who reads.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall_keys.data_keys'::regclass AND attname = 'log_id') THEN
        -- The deployment and the log that a key was made for. NULL: it is older than these columns, so nobody knows.
        ALTER TABLE rollcall_keys.data_keys ADD COLUMN deployment_id uuid, ADD COLUMN log_id text;
    END IF;
END $$;

-- The deployment that the key store belongs to; one of another deployment is refused.
CREATE TABLE IF NOT EXISTS rollcall_keys.deployment (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    id uuid NOT NULL,
    bound_at timestamptz NOT NULL DEFAULT now()
);

-- The logs of that deployment, by their ids: by these a read model that was made anew proves that the key store is its own.
CREATE TABLE IF NOT EXISTS rollcall_keys.logs (
    id text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);

-- Keys that belong to nobody: what ids are derived under.
CREATE TABLE IF NOT EXISTS rollcall_keys.secrets (
    name text PRIMARY KEY,
    id uuid NOT NULL,
    wrapped bytea NOT NULL,
    master_id text NOT NULL REFERENCES rollcall_keys.masters
);

-- Processes that hold keys in memory, as long as they renew this.
CREATE TABLE IF NOT EXISTS rollcall_keys.caches (
    id uuid PRIMARY KEY,
    renewed_at timestamptz NOT NULL DEFAULT now()
);

-- Which of them may still hold a key that is destroyed.
CREATE TABLE IF NOT EXISTS rollcall_keys.dropping (
    tenant_id text COLLATE "C" NOT NULL,
    owner_id uuid NOT NULL,
    cache_id uuid NOT NULL REFERENCES rollcall_keys.caches ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, owner_id, cache_id)
);
CREATE INDEX IF NOT EXISTS dropping_cache ON rollcall_keys.dropping (cache_id);

-- Destroys the keys of owners and has every process drop them; a part of the caller's transaction. Says how many there were.
CREATE OR REPLACE FUNCTION rollcall_keys.destroy(tenants text[], owners uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM rollcall_keys.data_keys k USING unnest(tenants, owners) o(tenant_id, owner_id)
        WHERE k.tenant_id = ANY (ARRAY[o.tenant_id]) AND k.owner_id = o.owner_id RETURNING k.tenant_id, k.owner_id
    ), holders AS (
        -- Locked, so that no process strikes itself off between this and the reference to its row. One
        -- that is just doing so is waited for, and left out.
        SELECT id FROM rollcall_keys.caches FOR KEY SHARE
    ), told AS (
        INSERT INTO rollcall_keys.dropping (tenant_id, owner_id, cache_id)
        SELECT gone.tenant_id, gone.owner_id, c.id FROM gone, holders c ON CONFLICT DO NOTHING
    )
    SELECT count(pg_notify('rollcall_keys', tenant_id || '/' || owner_id)) FROM gone
$$;

DO $$ BEGIN
    CREATE ROLE rollcall_keys NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$;
DO $$ BEGIN
    GRANT USAGE ON SCHEMA rollcall_keys TO rollcall_keys;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall_keys TO rollcall_keys;
    GRANT rollcall_keys TO CURRENT_USER;
EXCEPTION WHEN undefined_object OR insufficient_privilege THEN
    RAISE WARNING 'the role rollcall_keys was not made; the services keep the rights of their own user';
END $$;
