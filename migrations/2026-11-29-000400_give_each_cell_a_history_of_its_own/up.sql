-- Several cells of one cluster would have the same history: a checkpoint of the feed, or a position of a stream, that
-- belongs to one cell would be accepted by another, and its client would silently miss events. So the history of a cell
-- also has a number of the cell, which says where it was made. It stays when the schema is renamed.
--
-- Positions that clients have stay valid: nothing changes in `public`, nor in a schema that has had events. Where Citus
-- has distributed it, the sequence of this server may not have been used.
DO $$
DECLARE
    has_events CONSTANT boolean := (SELECT is_called FROM outbox_id_seq) OR EXISTS (SELECT 1 FROM orders);
    number     integer := 0;
BEGIN
    IF current_schema() <> 'public' AND NOT has_events THEN
        number := hashtext(format('%I.%I', current_database(), current_schema()));
    END IF;
    EXECUTE format(
        'CREATE FUNCTION cell_number() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %s', number
    );
END
$$;

COMMENT ON FUNCTION cell_number() IS
    'where the cell was made, if not in public: no other cell of the cluster has its history';

REVOKE EXECUTE ON FUNCTION cell_number() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cell_number() TO orders_projection, orders_read;

CREATE OR REPLACE FUNCTION current_history() RETURNS bigint
    LANGUAGE sql VOLATILE
    RETURN ((hashint8((pg_control_system()).system_identifier) # cell_number())::bigint << 32)
        | ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint;

COMMENT ON FUNCTION current_history() IS 'high half: the cluster and the number of the cell; low half: the timeline';

DO $$
DECLARE
    own CONSTANT bigint := current_history();
BEGIN
    IF cell_number() <> 0 THEN
        UPDATE event_log_state SET history = own;
        UPDATE event_log_histories SET history = own;
    END IF;
END
$$;
