-- The history in which a row was written: the database cluster (high half: a hash of its system identifier) and its
-- timeline (low half). A promoted standby starts a new timeline, on which transaction ids that were lost with the old
-- primary are allocated again. Readers take the history from the newest change, so that it reaches each standby
-- together with the rows: the timeline that a standby reports for itself may be as old as its last restartpoint.
--
-- VOLATILE like its parts, so that PostgreSQL can inline it. It fails on a standby, where nothing is written.
CREATE FUNCTION current_history() RETURNS bigint
    LANGUAGE sql VOLATILE
    RETURN (hashint8((pg_control_system()).system_identifier)::bigint << 32)
        | ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint;

REVOKE EXECUTE ON FUNCTION current_history() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION current_history() TO orders_projector;

-- NULL: written before this column existed. The default applies to inserts of projectors that do not know the column.
-- Their updates keep the old value, which is wrong only for rows that they change after a failover.
--
-- Each statement gives up after 200 ms: other sessions queue behind it, and they give up after 300 ms
-- (DATABASE_LOCK_TIMEOUT_MS).
SET LOCAL lock_timeout = '200ms';
ALTER TABLE order_summary ADD COLUMN history bigint;
ALTER TABLE order_summary ALTER COLUMN history SET DEFAULT current_history();
