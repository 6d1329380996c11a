-- The tables that outlive a generation of the read model.
--
-- Databases of earlier releases have no record of migrations. So this first one also upgrades them:
-- a statement whose work is done has no effect.
CREATE SCHEMA IF NOT EXISTS rollcall;
CREATE SCHEMA IF NOT EXISTS live;

CREATE TABLE IF NOT EXISTS rollcall.generations (
    id int PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    promoted_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS generations_one_live ON rollcall.generations (state) WHERE state = 'live';

-- The logs that were folded. Topics that were deleted and created again are another log: their ids
-- differ. Positions carry the log's epoch.
CREATE TABLE IF NOT EXISTS rollcall.logs (
    epoch int PRIMARY KEY CHECK (epoch > 0),
    users_topic_id text NOT NULL,
    credentials_topic_id text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    UNIQUE (users_topic_id, credentials_topic_id)
);
-- The check comes first: even an ALTER without effect waits for all readers.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.generations'::regclass AND attname = 'log_epoch') THEN
        -- The log that a generation is folded from.
        ALTER TABLE rollcall.generations ADD COLUMN log_epoch int NOT NULL DEFAULT 1;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.logs'::regclass AND attname = 'partitions') THEN
        -- Partitions of each topic. The count never changes: it decides a user's partition.
        ALTER TABLE rollcall.logs ADD COLUMN partitions int CHECK (partitions > 0);
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS rollcall.checkpoints (
    generation int NOT NULL REFERENCES rollcall.generations,
    topic text NOT NULL CHECK (topic IN ('users', 'credentials')),
    partition int NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0,
    record_time timestamptz,
    folded_at timestamptz,
    PRIMARY KEY (generation, topic, partition)
) WITH (fillfactor = 50);

-- The fence: a statement that moved fewer checkpoints than it meant to must have no effect at all.
CREATE OR REPLACE FUNCTION rollcall.fence(moved bigint, wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF moved <> wanted THEN
        RAISE EXCEPTION 'fenced off' USING ERRCODE = 'RC001';
    END IF;
    RETURN moved;
END $$;


-- While this table has a row, no projector folds.
CREATE TABLE IF NOT EXISTS rollcall.pause (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    by text NOT NULL CONSTRAINT pause_by_check CHECK (by IN ('limit', 'operator', 'log', 'read-model'))
);

-- When an operator last resumed the projectors. The parking limit counts from then on.
CREATE TABLE IF NOT EXISTS rollcall.resumed (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    at timestamptz NOT NULL
);

-- Requests about dead letters. The operator's program adds them; the projector that owns the
-- partition carries them out.
CREATE TABLE IF NOT EXISTS rollcall.requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('retry', 'discard')),
    topic text NOT NULL CHECK (topic IN ('users', 'credentials')),
    partition int NOT NULL,
    log_offset bigint NOT NULL,
    asked_by text NOT NULL DEFAULT session_user,
    asked_at timestamptz NOT NULL DEFAULT now(),
    outcome jsonb,
    done_at timestamptz
);
CREATE INDEX IF NOT EXISTS requests_open ON rollcall.requests (id) WHERE outcome IS NULL;

-- Records that have no effect, in this generation and in all later ones of their log.
CREATE TABLE IF NOT EXISTS rollcall.discarded (
    log_epoch int NOT NULL,
    topic text NOT NULL CHECK (topic IN ('users', 'credentials')),
    partition int NOT NULL,
    log_offset bigint NOT NULL,
    discarded_by text NOT NULL DEFAULT session_user,
    discarded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log_epoch, topic, partition, log_offset)
);

-- The id of this deployment. Its key store is bound to the same id.
CREATE TABLE IF NOT EXISTS rollcall.deployment (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    id uuid NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);

-- Steps of erasures that the read model's transaction can't take: a key in another database, a body
-- in a cache that did not answer. The projectors work them off. A delete is answered 204 once its user
-- has none left.
CREATE TABLE IF NOT EXISTS rollcall.erasures (
    tenant_id text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    step text NOT NULL CHECK (step IN ('key', 'cache')),
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id, step)
);

-- Missing beginnings of the log that an operator has accepted, and those of a log that was copied.
CREATE TABLE IF NOT EXISTS rollcall.accepted_cuts (
    log_epoch int NOT NULL,
    topic text NOT NULL CHECK (topic IN ('users', 'credentials')),
    partition int NOT NULL,
    -- The first offset that the log still had.
    first_offset bigint NOT NULL,
    -- The first offset that was lost before it was folded, if any.
    lost_from bigint,
    is_copied boolean NOT NULL DEFAULT false,
    accepted_by text NOT NULL DEFAULT session_user,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log_epoch, topic, partition, first_offset, is_copied)
);

-- Columns that came with later releases. The check comes first: even an ALTER without effect waits
-- for all readers.
DO $$
DECLARE g int;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'rollcall.pause'::regclass AND conname = 'pause_by_check'
            AND pg_get_constraintdef(oid) LIKE '%read-model%') THEN
        ALTER TABLE rollcall.pause DROP CONSTRAINT IF EXISTS pause_by_check;
        ALTER TABLE rollcall.pause ADD CONSTRAINT pause_by_check CHECK (by IN ('limit', 'operator', 'log', 'read-model'));
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.discarded'::regclass AND attname = 'is_owner_known') THEN
        -- The owner whom a discarded record names, so that the owner's key is not taken for an orphan.
        -- Older rows don't say.
        ALTER TABLE rollcall.discarded ADD COLUMN tenant_id text COLLATE "C", ADD COLUMN user_id uuid,
            ADD COLUMN is_owner_known boolean NOT NULL DEFAULT false;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.checkpoints'::regclass AND attname = 'turn') THEN
        -- The revision: how often rows of the partition changed without a move of its checkpoint. A
        -- cache from before such a change is not level.
        ALTER TABLE rollcall.checkpoints ADD COLUMN turn bigint NOT NULL DEFAULT 0;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.checkpoints'::regclass AND attname = 'owner') THEN
        -- The process that owns the partition, and since when. For operators only: the epoch is the fence.
        ALTER TABLE rollcall.checkpoints ADD COLUMN owner text, ADD COLUMN owned_since timestamptz;
    END IF;
    FOR g IN SELECT id FROM rollcall.generations LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_attribute
            WHERE attrelid = to_regclass(format('generation_%s.dead_letters', g)) AND attname = 'record_time');
        EXECUTE format('ALTER TABLE generation_%s.dead_letters ADD COLUMN raw_headers jsonb, ADD COLUMN record_time timestamptz', g);
        IF g = (SELECT id FROM rollcall.generations WHERE state = 'live') THEN
            EXECUTE format('CREATE OR REPLACE VIEW live.dead_letters AS SELECT * FROM generation_%s.dead_letters', g);
        END IF;
    END LOOP;
    FOR g IN SELECT id FROM rollcall.generations LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(format('generation_%s.users', g)) AND attname = 'key_id');
        EXECUTE format('ALTER TABLE generation_%s.users ADD COLUMN key_id uuid', g);
        EXECUTE format('ALTER TABLE generation_%s.dead_letters ADD COLUMN sequence bigint', g);
        EXECUTE format('ALTER TABLE generation_%s.users ALTER COLUMN body SET STATISTICS 0, ALTER COLUMN creation_digest SET STATISTICS 0', g);
        IF g = (SELECT id FROM rollcall.generations WHERE state = 'live') THEN
            EXECUTE format('CREATE OR REPLACE VIEW live.users AS SELECT * FROM generation_%s.users', g);
            EXECUTE format('CREATE OR REPLACE VIEW live.dead_letters AS SELECT * FROM generation_%s.dead_letters', g);
        END IF;
    END LOOP;
    FOR g IN SELECT id FROM rollcall.generations LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(format('generation_%s.dead_letters', g)) AND attname = 'detail');
        EXECUTE format('ALTER TABLE generation_%s.dead_letters ADD COLUMN detail text', g);
        -- Reasons used to be English texts. An unknown text comes from another build.
        EXECUTE format($map$
            UPDATE generation_%s.dead_letters d SET reason = m.code, detail = m.detail
            FROM (SELECT l.id, coalesce(t.code, 'unknown') AS code, CASE WHEN t.code IS NULL THEN l.reason ELSE t.detail END AS detail
                FROM generation_%s.dead_letters l LEFT JOIN LATERAL (
                    SELECT v.code, substring(l.reason FROM v.detail) AS detail FROM (VALUES
                        ('^key: there is none$', 'no-record-key', NULL),
                        ('^key: the key''s uuid is not in its plain', 'record-key-spelling', NULL),
                        ('^key: ', 'bad-record-key', '^key: (.*)$'),
                        ('^the key does not belong to this partition$', 'wrong-partition', NULL),
                        ('^header .* is missing or unreadable$', 'bad-header', '^header (.*)$'),
                        ('^header .* is not that of the key$', 'header-mismatch', '^header (.*) is not'),
                        ('^the type''s version is not known', 'unknown-version', NULL),
                        ('^data: larger than ', 'too-large', 'than (.*)$'),
                        ('^data: its headers are ', 'headers-too-large', 'are (.*)$'),
                        ('^data: a header''s name is not UTF-8$', 'bad-header-name', NULL),
                        ('^data: a credential fact does not belong here$', 'wrong-topic', NULL),
                        ('^data: a user fact does not belong here$', 'wrong-topic', NULL),
                        ('^data: Not valid ', 'not-json', '^data: (.*)$'),
                        ('^data: ', 'bad-data', '^data: (.*)$'),
                        ('^gap: ', 'gap', NULL),
                        ('^created, but the user is there$', 'created-again', NULL),
                        ('^the first event is not', 'not-created', NULL),
                        ('^its key is missing', 'key-missing', NULL),
                        ('^it can''t be opened with its key$', 'not-opened', NULL),
                        ('^queued behind an earlier one$', 'queued', NULL),
                        ('^later facts about this credential', 'late-credential', NULL),
                        ('^can''t be stored$', 'refused-by-database', NULL)) v(said, code, detail)
                    WHERE l.reason ~ v.said LIMIT 1) t ON true) m
            WHERE m.id = d.id $map$, g, g);
        IF g = (SELECT id FROM rollcall.generations WHERE state = 'live') THEN
            EXECUTE format('CREATE OR REPLACE VIEW live.dead_letters AS SELECT * FROM generation_%s.dead_letters', g);
        END IF;
    END LOOP;
    FOR g IN SELECT id FROM rollcall.generations LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(format('generation_%s.dead_letters', g)) AND attname = 'at_home');
        EXECUTE format('ALTER TABLE generation_%s.dead_letters ADD COLUMN at_home boolean NOT NULL DEFAULT true', g);
        -- A record without an owner belongs to the user whom its key names, or else its headers.
        EXECUTE format($map$
            UPDATE generation_%s.dead_letters d SET at_home = false, tenant_id = split_part(n.name, '/', 1), user_id = split_part(n.name, '/', 2)::uuid
            FROM (SELECT l.id, coalesce(substring(encode(l.key, 'escape') FROM p.plain), substring(h.name FROM p.plain)) AS name
                FROM (VALUES ('^[A-Za-z0-9._-]{1,64}/[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$')) p(plain),
                    generation_%s.dead_letters l, LATERAL (
                        SELECT max(e ->> 1) FILTER (WHERE lower(e ->> 0) = 'ce_tenantid') || '/'
                            || max(e ->> 1) FILTER (WHERE lower(e ->> 0) = 'ce_subject') AS name FROM jsonb_array_elements(l.headers) e) h
                WHERE l.user_id IS NULL) n
            WHERE n.id = d.id AND n.name IS NOT NULL $map$, g, g);
        EXECUTE format('UPDATE generation_%s.dead_letters SET at_home = false WHERE user_id IS NULL', g);
        IF g = (SELECT id FROM rollcall.generations WHERE state = 'live') THEN
            EXECUTE format('CREATE OR REPLACE VIEW live.dead_letters AS SELECT * FROM generation_%s.dead_letters', g);
        END IF;
        -- A deleted user keeps none.
        EXECUTE format('DELETE FROM generation_%s.dead_letters d USING live.tombstones t
            WHERE NOT d.at_home AND t.tenant_id = d.tenant_id AND t.id = d.user_id', g);
    END LOOP;
END $$;
