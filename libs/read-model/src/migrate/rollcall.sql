-- What outlives a generation. Run again and again: every statement is without effect where its work is done.
CREATE SCHEMA IF NOT EXISTS rollcall;
CREATE SCHEMA IF NOT EXISTS live;

CREATE TABLE IF NOT EXISTS rollcall.generations (
    id int PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    promoted_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS generations_one_live ON rollcall.generations (state) WHERE state = 'live';

-- The logs that there were. Topics that were deleted and made anew are another log, which their ids tell; its epoch is in positions.
CREATE TABLE IF NOT EXISTS rollcall.logs (
    epoch int PRIMARY KEY CHECK (epoch > 0),
    users_topic_id text NOT NULL,
    credentials_topic_id text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    UNIQUE (users_topic_id, credentials_topic_id)
);
-- Asked for first: even an ALTER without effect waits for everybody who reads.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.generations'::regclass AND attname = 'log_epoch') THEN
        -- Which of them a generation is folded from.
        ALTER TABLE rollcall.generations ADD COLUMN log_epoch int NOT NULL DEFAULT 1;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rollcall.logs'::regclass AND attname = 'partitions') THEN
        -- How many partitions each of its topics has. It never changes: a user's partition follows from it.
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

-- The fence: a statement that moved fewer checkpoints than it wanted to must have no effect at all.
CREATE OR REPLACE FUNCTION rollcall.fence(moved bigint, wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF moved <> wanted THEN
        RAISE EXCEPTION 'fenced off' USING ERRCODE = 'RC001';
    END IF;
    RETURN moved;
END $$;
