-- The function that logs the events which leave the outbox has forms that Citus plans, and refuses to log in a schema
-- that was renamed. Otherwise it does the same as before.
--
-- Each node of Citus has sequences of its own, with the range of ids of its group. The ids of a cell must grow also
-- when the cell moves to a node whose range is lower: those of events are positions of its log.
--
-- `:"schema"` and `:'schema'` stand for the current schema, as an identifier and as a text. The functions name it: with
-- a search_path, one of its functions could take the place of PostgreSQL's.
DO $do$
DECLARE
    functions CONSTANT text := $functions$
-- Lets a sequence of this node go on above an id.
CREATE FUNCTION :"schema".continue_sequence(name text, newest bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    sequence    CONSTANT text := format('%I.%I', :'schema', name);
    allocated   bigint;
    highest     bigint;
    propagation text;
BEGIN
    EXECUTE 'SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM ' || sequence
        INTO STRICT allocated;
    -- Not also if both are the same: meanwhile, another session may allocate the next one.
    IF (newest > allocated) IS NOT TRUE THEN
        RETURN;
    END IF;
    SELECT seqmax INTO STRICT highest FROM pg_sequence WHERE seqrelid = sequence::regclass;
    IF newest < highest THEN
        PERFORM setval(sequence::regclass, newest);
        RETURN;
    END IF;
    -- The sequences of the other nodes stay as they are.
    propagation := current_setting('citus.enable_ddl_propagation');
    PERFORM set_config('citus.enable_ddl_propagation', 'off', true);
    -- MINVALUE: the projector scans at once what the outbox's no longer allocates.
    EXECUTE format(
        'ALTER SEQUENCE %s MINVALUE %s MAXVALUE 9223372036854775807 START %2$s RESTART %2$s', sequence, newest + 1
    );
    PERFORM set_config('citus.enable_ddl_propagation', propagation, true);
END
$$;

-- Lets the ids of the cell go on above all that it has had. To be called on the node that owns the cell, after each
-- move and before a process writes there. The first batch of events there calls it, too: if it was forgotten, what was
-- written until then is logged under new positions, perhaps not in the order of versions.
CREATE FUNCTION :"schema".continue_ids() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    is_here boolean := true;
    newest  bigint;
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE
            'SELECT NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = $1) OR EXISTS (
                SELECT FROM pg_dist_shard
                JOIN pg_dist_placement USING (shardid)
                JOIN pg_dist_local_group USING (groupid)
                WHERE logicalrelid = $1
            )'
            INTO STRICT is_here
            USING format('%I.outbox', :'schema')::regclass;
    END IF;
    IF NOT is_here THEN
        RAISE EXCEPTION 'another node owns schema %: its ids are continued there', :'schema';
    END IF;
    PERFORM pg_advisory_xact_lock(format('%I.event_log', :'schema')::regclass::oid::integer, 1);
    SELECT below - 1 INTO STRICT newest FROM :"schema".event_log_settled ORDER BY below DESC LIMIT 1;
    SELECT greatest(newest, max(position)) INTO STRICT newest FROM :"schema".event_log;
    SELECT greatest(newest, max(id)) INTO STRICT newest FROM :"schema".outbox;
    -- Readers pass what is missing, and what they have. The largest bigint: nothing is logged.
    SELECT greatest(newest, nullif(missing_up_to, 9223372036854775807)) INTO STRICT newest
    FROM :"schema".event_log_state;
    SELECT greatest(newest, max(checkpoint)) INTO STRICT newest FROM :"schema".subscription_checkpoints;
    PERFORM :"schema".continue_sequence('outbox_id_seq', newest);
    SELECT max(number) INTO STRICT newest FROM :"schema".event_log_histories;
    PERFORM :"schema".continue_sequence('event_log_histories_number_seq', newest);
    SELECT max(id) INTO STRICT newest FROM :"schema".subscription_parked;
    PERFORM :"schema".continue_sequence('subscription_parked_id_seq', newest);
    SELECT max(id) INTO STRICT newest FROM :"schema".webhook_endpoints;
    PERFORM :"schema".continue_sequence('webhook_endpoints_id_seq', newest);
    -- By key: an endpoint has many.
    SELECT max(last.id) INTO STRICT newest
    FROM :"schema".webhook_endpoints
    CROSS JOIN LATERAL (
        SELECT attempt.id
        FROM :"schema".webhook_attempts AS attempt
        WHERE attempt.endpoint = webhook_endpoints.id
        ORDER BY attempt.id DESC
        LIMIT 1
    ) AS last;
    PERFORM :"schema".continue_sequence('webhook_attempts_id_seq', newest);
END
$$;

CREATE OR REPLACE FUNCTION :"schema".log_deleted_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    log          :"schema".event_log_state;
    has_citus    CONSTANT boolean := to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL;
    current      bigint;
    oldest       bigint;
    newest       bigint;
    settled      bigint;
    allocated    bigint;
    ahead        bigint;
    next         bigint;
    is_logged    boolean := false;
    ids          bigint[];
    kinds        text[];
    payloads     json[];
    traceparents text[];
BEGIN
    SELECT min(id), max(id) INTO oldest, newest FROM deleted;
    -- An idle worker's claim deletes nothing.
    IF oldest IS NULL THEN
        RETURN NULL;
    END IF;
    -- The schema was renamed, and another one may have its name now: nothing may get into its log.
    IF TG_TABLE_SCHEMA <> :'schema' THEN
        RAISE EXCEPTION 'the schema was renamed from %: migrations/README.md says how to rename one', :'schema';
    END IF;
    -- A new snapshot, as each statement of a VOLATILE function has: see the hole rule in the projector's event_log.
    SELECT * INTO STRICT log FROM :"schema".event_log_state;
    IF log.retention_days = 0 THEN
        RETURN NULL;
    END IF;
    current := :"schema".current_history();
    IF log.history <> current THEN
        -- The first claims wait for one another: none may log events before it is recorded where the old history ended.
        PERFORM 1 FROM :"schema".event_log_state WHERE history <> current FOR UPDATE;
        IF FOUND THEN
            -- Histories are in the order of their numbers.
            IF has_citus THEN
                PERFORM :"schema".continue_ids();
            END IF;
            UPDATE :"schema".event_log_state SET history = current;
            INSERT INTO :"schema".event_log_histories (history, after_position)
            SELECT current, greatest(max(position), log.missing_up_to) FROM :"schema".event_log;
        END IF;
    END IF;
    SELECT below INTO STRICT settled FROM :"schema".event_log_settled ORDER BY below DESC LIMIT 1;
    SELECT last_value INTO STRICT allocated FROM :"schema".outbox_id_seq;
    SELECT position INTO next FROM :"schema".event_log WHERE position >= oldest ORDER BY position LIMIT 1;
    -- Nearly always, nothing is logged between the ids of a batch, or only less than those that committed late.
    IF oldest >= settled AND newest <= allocated AND (next <= newest) IS NOT TRUE AND NOT has_citus THEN
        INSERT INTO :"schema".event_log (position, kind, payload, traceparent, recorded_at)
        SELECT id, kind, payload, traceparent, now() FROM deleted;
        RETURN NULL;
    END IF;
    -- Citus plans no statement that reads the deleted rows and one of its tables. To copy them takes time.
    SELECT
        array_agg(id ORDER BY id), array_agg(kind ORDER BY id), array_agg(payload ORDER BY id),
        array_agg(traceparent ORDER BY id)
    INTO ids, kinds, payloads, traceparents
    FROM deleted;
    -- Whether a position has been used: by an id that was allocated twice. LIMIT: never a join, which may read the
    -- whole log.
    IF next <= newest THEN
        is_logged := EXISTS (
            SELECT 1
            FROM unnest(ids) AS id
            CROSS JOIN LATERAL (SELECT 1 FROM :"schema".event_log WHERE position = id LIMIT 1) AS logged
            WHERE id BETWEEN next AND (SELECT max(position) FROM :"schema".event_log)
        );
    END IF;
    IF oldest >= settled AND newest <= allocated AND NOT is_logged THEN
        INSERT INTO :"schema".event_log (position, kind, payload, traceparent, recorded_at)
        SELECT id, kind, payload, traceparent, now()
        FROM unnest(ids, kinds, payloads, traceparents) AS event (id, kind, payload, traceparent);
        RETURN NULL;
    END IF;
    -- Readers have passed some of these ids, or will reach them long after others: inserted by hand, allocated long
    -- before they were used by a sequence with a cache, or by one that was set back. They get fresh positions. One
    -- worker at a time, because the sequence may have to be set forward first.
    PERFORM pg_advisory_xact_lock(format('%I.event_log', :'schema')::regclass::oid::integer, 1);
    IF has_citus THEN
        PERFORM :"schema".continue_ids();
    END IF;
    SELECT last_value INTO STRICT allocated FROM :"schema".outbox_id_seq;
    SELECT greatest(settled - 1, max(position)) INTO ahead FROM :"schema".event_log;
    IF ahead > allocated THEN
        PERFORM setval(format('%I.outbox_id_seq', :'schema')::regclass, ahead);
    END IF;
    SELECT array_agg(
        CASE
            WHEN id BETWEEN settled AND allocated
                AND NOT EXISTS (SELECT 1 FROM :"schema".event_log WHERE position = id) THEN id
            ELSE nextval(format('%I.outbox_id_seq', :'schema')::regclass)
        END
        ORDER BY id
    )
    INTO ids
    FROM unnest(ids) AS id;
    INSERT INTO :"schema".event_log (position, kind, payload, traceparent, recorded_at)
    SELECT position, kind, payload, traceparent, now()
    FROM unnest(ids, kinds, payloads, traceparents) AS event (position, kind, payload, traceparent);
    RAISE WARNING
        'events with ids from % to % are outside of % to %, or were used before: those are logged under new positions',
        oldest, newest, settled, allocated;
    RETURN NULL;
END
$$;
$functions$;
BEGIN
    EXECUTE replace(
        replace(functions, ':"schema"', quote_ident(current_schema())), ':''schema''', quote_literal(current_schema())
    );
END
$do$;

REVOKE EXECUTE ON FUNCTION continue_sequence(text, bigint), continue_ids() FROM PUBLIC;
