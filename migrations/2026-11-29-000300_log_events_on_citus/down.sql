DO $do$
DECLARE
    function CONSTANT text := $function$
CREATE OR REPLACE FUNCTION :"schema".log_deleted_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    log       :"schema".event_log_state;
    oldest    bigint;
    newest    bigint;
    settled   bigint;
    allocated bigint;
    ahead     bigint;
    next      bigint;
    is_logged boolean := false;
BEGIN
    SELECT min(id), max(id) INTO oldest, newest FROM deleted;
    -- An idle worker's claim deletes nothing.
    IF oldest IS NULL THEN
        RETURN NULL;
    END IF;
    -- A new snapshot, as each statement of a VOLATILE function has: see the hole rule in the projector's event_log.
    SELECT * INTO STRICT log FROM :"schema".event_log_state;
    IF log.retention_days = 0 THEN
        RETURN NULL;
    END IF;
    IF log.history <> :"schema".current_history() THEN
        -- The first claims wait for one another: none may log events before it is recorded where the old history ended.
        PERFORM FROM :"schema".event_log_state WHERE history <> :"schema".current_history() FOR UPDATE;
        IF FOUND THEN
            UPDATE :"schema".event_log_state SET history = :"schema".current_history();
            INSERT INTO :"schema".event_log_histories (history, after_position)
            SELECT :"schema".current_history(), greatest(max(position), log.missing_up_to) FROM :"schema".event_log;
        END IF;
    END IF;
    SELECT below INTO STRICT settled FROM :"schema".event_log_settled ORDER BY below DESC LIMIT 1;
    SELECT last_value INTO STRICT allocated FROM :"schema".outbox_id_seq;
    -- Whether a position has been used: by an id that was allocated twice. Nearly always, nothing is logged between the
    -- ids of a batch, or only less than those that committed late. LIMIT: never a join, which may read the whole log.
    SELECT position INTO next FROM :"schema".event_log WHERE position >= oldest ORDER BY position LIMIT 1;
    IF next <= newest THEN
        is_logged := EXISTS (
            SELECT
            FROM deleted
            CROSS JOIN LATERAL (SELECT FROM :"schema".event_log WHERE position = id LIMIT 1) AS logged
            WHERE id BETWEEN next AND (SELECT max(position) FROM :"schema".event_log)
        );
    END IF;
    IF oldest >= settled AND newest <= allocated AND NOT is_logged THEN
        INSERT INTO :"schema".event_log (position, kind, payload, traceparent, recorded_at)
        SELECT id, kind, payload, traceparent, now() FROM deleted;
        RETURN NULL;
    END IF;
    -- Readers have passed some of these ids, or will reach them long after others: inserted by hand, allocated long
    -- before they were used by a sequence with a cache, or by one that was set back. They get fresh positions. One
    -- worker at a time, because the sequence may have to be set forward first.
    PERFORM pg_advisory_xact_lock(format('%I.event_log', :'schema')::regclass::oid::integer, 1);
    SELECT last_value INTO STRICT allocated FROM :"schema".outbox_id_seq;
    SELECT greatest(settled - 1, max(position)) INTO ahead FROM :"schema".event_log;
    IF ahead > allocated THEN
        PERFORM setval(format('%I.outbox_id_seq', :'schema')::regclass, ahead);
    END IF;
    INSERT INTO :"schema".event_log (position, kind, payload, traceparent, recorded_at)
    SELECT
        CASE
            WHEN id BETWEEN settled AND allocated
                AND NOT EXISTS (SELECT FROM :"schema".event_log WHERE position = id) THEN id
            ELSE nextval(format('%I.outbox_id_seq', :'schema')::regclass)
        END,
        kind, payload, traceparent, now()
    FROM (SELECT * FROM deleted ORDER BY id) AS ordered;
    RAISE WARNING
        'events with ids from % to % are outside of % to %, or were used before: those are logged under new positions',
        oldest, newest, settled, allocated;
    RETURN NULL;
END
$$;
$function$;
BEGIN
    EXECUTE replace(
        replace(function, ':"schema"', quote_ident(current_schema())), ':''schema''', quote_literal(current_schema())
    );
END
$do$;

DROP FUNCTION continue_ids();
DROP FUNCTION continue_sequence(text, bigint);
