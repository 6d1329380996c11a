-- Requests to repair one user. The operator's program adds them; the projector that owns the user's
-- partition carries them out. A statement whose work is done has no effect.
CREATE TABLE IF NOT EXISTS rollcall.repairs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    partition int NOT NULL,
    asked_by text NOT NULL DEFAULT session_user,
    asked_at timestamptz NOT NULL DEFAULT now(),
    -- How far the log is read, for the operator.
    progress jsonb,
    report jsonb,
    done_at timestamptz
);
CREATE INDEX IF NOT EXISTS repairs_open ON rollcall.repairs (id) WHERE report IS NULL;
