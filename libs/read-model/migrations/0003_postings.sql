-- Search by postings, see docs/adr/0011-search.md. Generations of earlier releases get the tables, so
-- that all are written by the same statements. They are searched by their indexes as before, until a
-- rebuild replaces them. A statement whose work is done has no effect.
CREATE TABLE IF NOT EXISTS rollcall.search_secret (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- 244 random bits, from the server's cryptographic generator.
    secret bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) CHECK (octet_length(secret) = 32)
);
INSERT INTO rollcall.search_secret DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Whether the postings of a generation are complete, so that searches may use them.
ALTER TABLE rollcall.generations ADD COLUMN IF NOT EXISTS has_postings boolean NOT NULL DEFAULT false;

DO $$
DECLARE g text;
BEGIN
    FOR g IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^generation_[0-9]+$' AND to_regclass(format('%I.users', nspname)) IS NOT NULL LOOP
        EXECUTE format('ALTER TABLE %I.users ADD COLUMN IF NOT EXISTS terms bigint[] NOT NULL DEFAULT ''{}''', g);
        EXECUTE format('ALTER TABLE %I.users ALTER COLUMN terms SET STATISTICS 0, SET (fillfactor = 90)', g);
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I.postings (term bigint NOT NULL, created_at timestamptz NOT NULL, user_id uuid NOT NULL, '
            'PRIMARY KEY (term, created_at, user_id)) WITH (autovacuum_vacuum_insert_scale_factor = 0.02)', g);
        EXECUTE format('ALTER TABLE %I.postings ALTER COLUMN term SET STATISTICS 0, ALTER COLUMN created_at SET STATISTICS 0, '
            'ALTER COLUMN user_id SET STATISTICS 0', g);
    END LOOP;
END $$;
