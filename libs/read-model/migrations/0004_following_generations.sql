-- Generations that are built and not live follow the log, see docs/design/generations.md. A statement
-- whose work is done has no effect.
ALTER TABLE rollcall.generations DROP CONSTRAINT IF EXISTS generations_state_check;
ALTER TABLE rollcall.generations ADD CONSTRAINT generations_state_check CHECK (state IN ('building', 'built', 'live', 'retired'));
ALTER TABLE rollcall.generations
    -- Which fold has made it: see `read_model::generation::fold_version`.
    ADD COLUMN IF NOT EXISTS fold_version int,
    -- A hash of the statements that made its tables. Earlier releases did not keep it.
    ADD COLUMN IF NOT EXISTS schema_hash text,
    -- When it had the whole log and its indexes, so that it can be promoted.
    ADD COLUMN IF NOT EXISTS built_at timestamptz,
    -- When it was last found equal to the live one of that time, and the digest of both.
    ADD COLUMN IF NOT EXISTS verified_at timestamptz,
    ADD COLUMN IF NOT EXISTS digest text,
    -- Counts promotions. A rollback counts upwards too, a restored database does not.
    ADD COLUMN IF NOT EXISTS promotion bigint;
UPDATE rollcall.generations SET fold_version = CASE WHEN has_postings THEN 2 ELSE 1 END WHERE fold_version IS NULL;
UPDATE rollcall.generations SET promotion = id WHERE promotion IS NULL AND promoted_at IS NOT NULL;
UPDATE rollcall.generations SET built_at = coalesce(promoted_at, created_at) WHERE built_at IS NULL AND state <> 'building';
ALTER TABLE rollcall.generations ALTER COLUMN fold_version SET NOT NULL;
