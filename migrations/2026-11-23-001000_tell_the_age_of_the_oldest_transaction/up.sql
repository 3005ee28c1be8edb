-- The age in seconds of the oldest transaction that prevents vacuum from removing dead rows of this database, or 0 if
-- there is none. A role sees only its own sessions, so the function runs with the privileges of the role that migrates.
-- It returns NULL if that role cannot see other sessions either.
CREATE FUNCTION oldest_transaction_seconds() RETURNS double precision
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN coalesce(
        extract(epoch FROM clock_timestamp() - least(
            (SELECT min(xact_start) FROM pg_stat_activity
             WHERE datname = current_database() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
                 AND backend_type <> 'autovacuum worker' AND pid <> pg_backend_pid()),
            (SELECT min(prepared) FROM pg_prepared_xacts WHERE database = current_database())
        )), 0)
    END;

REVOKE EXECUTE ON FUNCTION oldest_transaction_seconds() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION oldest_transaction_seconds() TO orders_projector;
