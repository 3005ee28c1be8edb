-- Optional: what only a superuser can do for the database of the orders. Apply the migrations first; run it again after
-- you have restored the database from a dump.
--
--   psql -v ON_ERROR_STOP=1 -f deploy/migrate/superuser.sql \
--       'postgres://postgres@db.example/orders?sslmode=verify-full&sslrootcert=/etc/ca.pem'
--
-- Where `public` has no tables, add the search_path of any cell (&options=-c%20search_path%3Dcell_01). Once is enough
-- for all cells with the same owner.
--
-- By default, every role that may connect can also make large objects, write messages into the WAL, and take advisory
-- locks, with which it could hold up the upkeep of the event log. After this, only the owner of the tables can.
--
-- And: the server's log does not show the rows that a constraint refuses, and the owner sees the transactions of all
-- roles, which `oldest_transaction_seconds()` needs.
--
-- The way back: GRANT EXECUTE ON FUNCTION … TO PUBLIC for the same functions, ALTER DATABASE … RESET
-- log_error_verbosity, REVOKE pg_read_all_stats FROM the owner.
DO $$
DECLARE
    owner    regrole := (SELECT relowner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations'));
    function regprocedure;
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'database % has no migrations: apply them first, and check the search_path', current_database();
    END IF;
    FOR function IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
            AND (proname ~ '^pg_(try_)?advisory_' OR proname IN (
                'lo_creat', 'lo_create', 'lo_from_bytea', 'pg_logical_emit_message'
            ))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', function, owner);
    END LOOP;
    EXECUTE format('GRANT pg_read_all_stats TO %s', owner);
    EXECUTE format('ALTER DATABASE %I SET log_error_verbosity = terse', current_database());
END
$$;
