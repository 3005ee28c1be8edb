-- How long the oldest transaction that keeps dead rows of this database from being removed has been running, in seconds; 0
-- where there is none. A session sees this only of its own role. The function tells this one number with the rights of the
-- role that migrates; NULL where that role may not see it either.
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
