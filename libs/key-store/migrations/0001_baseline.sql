-- The key store has a schema and a role of its own, outside the read model and its generations. So it
-- can be in another database and have its own backups.
--
-- Databases of earlier releases have no record of migrations. So this first one also upgrades them:
-- a statement whose work is done has no effect.
CREATE SCHEMA IF NOT EXISTS rollcall_keys;

-- The master keys in use. A rotation ends when it removes the old one here. The references forbid that
-- while anything is wrapped under it, whoever wraps meanwhile.
CREATE TABLE IF NOT EXISTS rollcall_keys.masters (
    id text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);

-- One key for each owner of sealed data.
CREATE TABLE IF NOT EXISTS rollcall_keys.data_keys (
    tenant_id text COLLATE "C" NOT NULL,
    owner_id uuid NOT NULL,
    id uuid NOT NULL,
    wrapped bytea NOT NULL,
    master_id text NOT NULL REFERENCES rollcall_keys.masters,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When a writer without sealed data last asked for it. An orphan is a key asked for long ago.
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, owner_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);
-- No statistics: the planner's samples of wrapped keys would outlive the keys. The check comes first:
-- even an ALTER without effect waits for a vacuum.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall_keys.data_keys'::regclass AND attname = 'wrapped' AND attstattarget IS DISTINCT FROM 0) THEN
        ALTER TABLE rollcall_keys.data_keys ALTER COLUMN wrapped SET STATISTICS 0;
    END IF;
END $$;

-- Columns that came with later releases.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall_keys.data_keys'::regclass AND attname = 'log_id') THEN
        -- The deployment and the log that a key was made for. NULL: the key is older than these columns.
        ALTER TABLE rollcall_keys.data_keys ADD COLUMN deployment_id uuid, ADD COLUMN log_id text;
    END IF;
END $$;

-- The deployment that the key store belongs to. Other deployments are refused.
CREATE TABLE IF NOT EXISTS rollcall_keys.deployment (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    id uuid NOT NULL,
    bound_at timestamptz NOT NULL DEFAULT now()
);

-- The ids of that deployment's logs. With these a new read model proves that the key store is its own.
CREATE TABLE IF NOT EXISTS rollcall_keys.logs (
    id text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);

-- Keys without an owner, under which ids are derived.
CREATE TABLE IF NOT EXISTS rollcall_keys.secrets (
    name text PRIMARY KEY,
    id uuid NOT NULL,
    wrapped bytea NOT NULL,
    master_id text NOT NULL REFERENCES rollcall_keys.masters
);

-- Processes that hold keys in memory. A row is a lease: its process renews it.
CREATE TABLE IF NOT EXISTS rollcall_keys.caches (
    id uuid PRIMARY KEY,
    renewed_at timestamptz NOT NULL DEFAULT now()
);

-- Processes that may still hold a destroyed key.
CREATE TABLE IF NOT EXISTS rollcall_keys.dropping (
    tenant_id text COLLATE "C" NOT NULL,
    owner_id uuid NOT NULL,
    cache_id uuid NOT NULL REFERENCES rollcall_keys.caches ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, owner_id, cache_id)
);
CREATE INDEX IF NOT EXISTS dropping_cache ON rollcall_keys.dropping (cache_id);

-- Destroys the keys of owners in the caller's transaction, tells every process to drop them, and
-- returns how many there were.
CREATE OR REPLACE FUNCTION rollcall_keys.destroy(tenants text[], owners uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM rollcall_keys.data_keys k USING unnest(tenants, owners) o(tenant_id, owner_id)
        WHERE k.tenant_id = ANY (ARRAY[o.tenant_id]) AND k.owner_id = o.owner_id RETURNING k.tenant_id, k.owner_id
    ), holders AS (
        -- Locked, so that no process deletes its row before the reference to it exists. A process that is
        -- just deleting its row is waited for, and left out.
        SELECT id FROM rollcall_keys.caches FOR KEY SHARE
    ), told AS (
        INSERT INTO rollcall_keys.dropping (tenant_id, owner_id, cache_id)
        SELECT gone.tenant_id, gone.owner_id, c.id FROM gone, holders c ON CONFLICT DO NOTHING
    )
    SELECT count(pg_notify('rollcall_keys', tenant_id || '/' || owner_id)) FROM gone
$$;
