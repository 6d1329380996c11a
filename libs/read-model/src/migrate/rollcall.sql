-- Tables that outlive a generation. Every migration runs this script; a statement whose work is done has
-- no effect.
CREATE SCHEMA IF NOT EXISTS rollcall;
CREATE SCHEMA IF NOT EXISTS live;

CREATE TABLE IF NOT EXISTS rollcall.generations (
    id int PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    promoted_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS generations_one_live ON rollcall.generations (state) WHERE state = 'live';

-- The logs of this deployment. Recreated topics are another log with other topic ids. The epoch is part of
-- positions.
CREATE TABLE IF NOT EXISTS rollcall.logs (
    epoch int PRIMARY KEY CHECK (epoch > 0),
    users_topic_id text NOT NULL,
    credentials_topic_id text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    UNIQUE (users_topic_id, credentials_topic_id)
);
-- Checked first, because even an ALTER without effect waits for all readers.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.generations'::regclass AND attname = 'log_epoch') THEN
        -- The log that a generation is folded from.
        ALTER TABLE rollcall.generations ADD COLUMN log_epoch int NOT NULL DEFAULT 1;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.logs'::regclass AND attname = 'partitions') THEN
        -- How many partitions each topic has. It never changes, because a user's partition depends on it.
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

-- The fence: a statement that moves fewer checkpoints than it should must have no effect at all.
CREATE OR REPLACE FUNCTION rollcall.fence(moved bigint, wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF moved <> wanted THEN
        RAISE EXCEPTION 'fenced off' USING ERRCODE = 'RC001';
    END IF;
    RETURN moved;
END $$;
