-- When a comparison last found a generation different from the live one of that time. A statement whose
-- work is done has no effect.
ALTER TABLE rollcall.generations ADD COLUMN IF NOT EXISTS differed_at timestamptz;
ALTER TABLE rollcall.projection_generations ADD COLUMN IF NOT EXISTS differed_at timestamptz;
