-- Projections beside the users, see docs/design/projections.md. Each generation has a schema
-- projection_<name>_<generation>, in which tables with personal data carry the comment 'personal'. A
-- statement whose work is done has no effect.
CREATE TABLE IF NOT EXISTS rollcall.projections (
    name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,31}$'),
    -- The highest number of a generation. None is given twice.
    last_generation int NOT NULL DEFAULT 0,
    -- The pause, if an operator has paused it.
    paused_since timestamptz,
    paused_reason text,
    CHECK ((paused_since IS NULL) = (paused_reason IS NULL))
);

CREATE TABLE IF NOT EXISTS rollcall.projection_generations (
    projection text COLLATE "C" NOT NULL REFERENCES rollcall.projections,
    generation int NOT NULL,
    state text NOT NULL CHECK (state IN ('building', 'built', 'live', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    built_at timestamptz,
    verified_at timestamptz,
    digest text,
    promoted_at timestamptz,
    -- The log that it is folded from.
    log_epoch int NOT NULL,
    fold_version int NOT NULL,
    tables text[] NOT NULL,
    PRIMARY KEY (projection, generation)
);
CREATE UNIQUE INDEX IF NOT EXISTS projection_generations_one_live ON rollcall.projection_generations (projection) WHERE state = 'live';

CREATE TABLE IF NOT EXISTS rollcall.projection_checkpoints (
    projection text COLLATE "C" NOT NULL,
    generation int NOT NULL,
    -- Of users.events.
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    record_time timestamptz,
    folded_at timestamptz,
    PRIMARY KEY (projection, generation, partition)
) WITH (fillfactor = 50);

-- Records that were parked when a generation passed them. It folds one once it is accepted.
CREATE TABLE IF NOT EXISTS rollcall.projection_waiting (
    projection text COLLATE "C" NOT NULL,
    generation int NOT NULL,
    partition int NOT NULL,
    log_offset bigint NOT NULL,
    PRIMARY KEY (projection, generation, partition, log_offset)
);

-- Why a generation does not follow, until it does again. Generation 0: the first one can't be created.
CREATE TABLE IF NOT EXISTS rollcall.projection_failures (
    projection text COLLATE "C" NOT NULL,
    generation int NOT NULL,
    reason text NOT NULL,
    -- The record that can't be folded, if it is known.
    partition int,
    log_offset bigint,
    since timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, generation)
);
