-- The role of services that only read. Roles belong to the whole server, so another database may have
-- created it already.
DO $$ BEGIN
    CREATE ROLE rollcall_reader NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT USAGE ON SCHEMA live, rollcall TO rollcall_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA live TO rollcall_reader;
GRANT SELECT ON rollcall.projection_failures, rollcall.generations, rollcall.logs, rollcall.pause, rollcall.deployment, rollcall.erasures, rollcall.search_secret TO rollcall_reader;
GRANT rollcall_reader TO CURRENT_USER;
