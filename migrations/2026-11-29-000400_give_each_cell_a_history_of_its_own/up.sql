-- Several cells of one cluster would have the same history: each would accept a checkpoint of the feed, or a position
-- of a stream, that belongs to another, and the client would silently miss events. So the history of a cell also has
-- the number of the cell, which stays until this migration is reverted. In `public` it is 0, and nothing changes.
--
-- In another schema that has had events, the new history follows the old one as after a failover: with the next event,
-- `log_deleted_events()` records where it begins. So clients of a shop that was in such a schema before miss nothing:
--
-- - A checkpoint of the feed stays valid up to there. One beyond, returned while that event was logged, gets a 409 with
--   the checkpoint to go on from.
-- - A stream that resumes begins with a snapshot. A read-api from before this migration does not recognize the rows
--   that are written after it, and may not notice a failover: replace it soon.
--
-- A cell that was reverted and migrated again has its own history again. A checkpoint that was returned in between does
-- not show its cell: each cell that was reverted too may accept it.
DO $do$
DECLARE
    number CONSTANT integer := CASE current_schema()
        WHEN 'public' THEN 0
        ELSE hashtext(format('%I.%I', current_database(), current_schema()))
    END;
BEGIN
    EXECUTE format($function$
CREATE FUNCTION cell_number() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN %s
$function$, number);
END
$do$;

REVOKE EXECUTE ON FUNCTION cell_number() FROM PUBLIC;
-- current_history() calls it with the rights of its caller. read-api puts it into the positions of its streams.
GRANT EXECUTE ON FUNCTION cell_number() TO orders_projection, orders_read;

CREATE OR REPLACE FUNCTION current_history() RETURNS bigint
    LANGUAGE sql VOLATILE
    RETURN ((hashint8((pg_control_system()).system_identifier) # cell_number())::bigint << 32)
        | ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint;

COMMENT ON FUNCTION cell_number() IS
    '0 in public; elsewhere a hash of the database and the schema in which the cell was made';
COMMENT ON FUNCTION current_history() IS 'high half: the cluster and the cell; low half: the timeline';

DO $$
DECLARE
    own CONSTANT bigint := current_history();
BEGIN
    -- Where Citus has distributed the schema, the sequence of this server may not have been used.
    IF NOT (SELECT is_called FROM outbox_id_seq) AND NOT EXISTS (SELECT 1 FROM orders) THEN
        UPDATE event_log_state SET history = own;
        UPDATE event_log_histories SET history = own;
    END IF;
END
$$;
