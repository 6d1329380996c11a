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
