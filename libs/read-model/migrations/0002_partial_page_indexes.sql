-- The indexes of pages are partial, so that no statement that looks rows up by key can use them (see
-- `service_kit::database::by_key`). Generations of earlier releases still have full ones.
DO $$
DECLARE g int;
BEGIN
    FOR g IN SELECT id FROM rollcall.generations LOOP
        IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(format('generation_%s.users_page', g)) AND indpred IS NULL) THEN
            EXECUTE format('DROP INDEX generation_%s.users_page', g);
            EXECUTE format('CREATE INDEX users_page ON generation_%s.users (tenant_id, created_at, id) WHERE version > 0', g);
        END IF;
        IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(format('generation_%s.credentials_page', g)) AND indpred IS NULL) THEN
            EXECUTE format('DROP INDEX generation_%s.credentials_page', g);
            EXECUTE format('CREATE INDEX credentials_page ON generation_%s.credentials (tenant_id, user_id, created_at, id) WHERE issued', g);
        END IF;
    END LOOP;
END $$;
