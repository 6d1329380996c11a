-- The role of processes that use keys. A role belongs to the whole server: another database may have
-- created it.
DO $$ BEGIN
    CREATE ROLE rollcall_keys NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$;
DO $$ BEGIN
    GRANT USAGE ON SCHEMA rollcall_keys TO rollcall_keys;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall_keys TO rollcall_keys;
    GRANT rollcall_keys TO CURRENT_USER;
EXCEPTION WHEN undefined_object OR insufficient_privilege THEN
    RAISE WARNING 'the role rollcall_keys was not made; the services keep the rights of their own user';
END $$;
