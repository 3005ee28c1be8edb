-- Several cells of one cluster would have the same history: a checkpoint of the feed, or a position of a stream, that
-- belongs to one cell would be accepted by another, and its client would silently miss events. So the history of a cell
-- also says where the cell was made. It stays when the schema is renamed.
--
-- Positions that clients have stay valid: nothing changes in `public`, nor in a schema that has had events.
DO $$
DECLARE
    place CONSTANT integer := hashtext(format('%I.%I', current_database(), current_schema()));
    own   bigint;
BEGIN
    IF current_schema() <> 'public' AND NOT (SELECT is_called FROM outbox_id_seq) THEN
        EXECUTE format($function$
CREATE OR REPLACE FUNCTION current_history() RETURNS bigint
    LANGUAGE sql VOLATILE
    RETURN ((hashint8((pg_control_system()).system_identifier) # (%s))::bigint << 32)
        | ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
$function$, place);
        own := current_history();
        UPDATE event_log_state SET history = own;
        UPDATE event_log_histories SET history = own;
    END IF;
END
$$;

COMMENT ON FUNCTION current_history() IS
    'high half: the cluster and, of a cell in another schema than public, where it was made; low half: the timeline';
