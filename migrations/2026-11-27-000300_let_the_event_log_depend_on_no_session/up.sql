-- The functions of the event log work in the schema of the tables, whichever that is, and never convert a time by the
-- TimeZone or the DateStyle of the session: partitions could get wrong bounds. Their grants stay as they are.
--
-- `:"schema"` and `:'schema'` stand for the current schema, as an identifier and as a text. The functions name it: with
-- a search_path, one of its functions could take the place of PostgreSQL's.
DO $do$
DECLARE
    functions CONSTANT text := $functions$
CREATE OR REPLACE FUNCTION :"schema".create_event_log_partitions() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms'
    AS $$
DECLARE
    today     date := (now() AT TIME ZONE 'UTC')::date;
    day       date;
    partition text;
    made      integer := 0;
    -- A time as text depends on the TimeZone and the DateStyle of the session. This does not.
    midnight  CONSTANT text := 'YYYY-MM-DD "00:00:00+00"';
BEGIN
    -- Another process is doing this now.
    IF NOT pg_try_advisory_xact_lock(format('%I.event_log', :'schema')::regclass::oid::integer, 0) THEN
        RETURN 0;
    END IF;
    FOR day IN SELECT today + ahead FROM generate_series(-1, 7) AS ahead LOOP
        partition := 'event_log_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits
            WHERE inhparent = format('%I.event_log', :'schema')::regclass
                AND inhrelid = to_regclass(format('%I.%I', :'schema', partition))
        );
        -- Nothing is updated or deleted here: vacuum would only read it.
        EXECUTE format(
            'CREATE TABLE %1$I.%2$I (LIKE %1$I.event_log) WITH (autovacuum_vacuum_insert_threshold = -1)',
            :'schema', partition
        );
        EXECUTE format(
            'ALTER TABLE %1$I.event_log ATTACH PARTITION %1$I.%2$I FOR VALUES FROM (%3$L) TO (%4$L)',
            :'schema', partition, to_char(day, midnight), to_char(day + 1, midnight)
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

CREATE OR REPLACE FUNCTION :"schema".drop_expired_event_log_partition() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
    AS $$
DECLARE
    log       :"schema".event_log_state;
    partition text;
    newest    bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(format('%I.event_log', :'schema')::regclass::oid::integer, 0) THEN
        RETURN 0;
    END IF;
    SELECT * INTO STRICT log FROM :"schema".event_log_state;
    SELECT relname INTO partition
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = format('%I.event_log', :'schema')::regclass
        AND to_date(right(relname, 8), 'YYYYMMDD') + 1 <= (now() AT TIME ZONE 'UTC')::date - log.retention_days
    ORDER BY relname
    LIMIT 1;
    IF partition IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT coalesce(max(position), 0) FROM %I.%I', :'schema', partition) INTO newest;
    IF newest > log.missing_up_to THEN
        UPDATE :"schema".event_log_state SET missing_up_to = newest, missing_since = clock_timestamp();
        RETURN 0;
    END IF;
    -- BETWEEN: a clock that was set back does not stop it.
    IF log.missing_since BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
        OR log.drop_tried_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() THEN
        RETURN 0;
    END IF;
    UPDATE :"schema".event_log_state SET drop_tried_at = clock_timestamp();
    BEGIN
        LOCK TABLE :"schema".event_log IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('DROP TABLE %I.%I', :'schema', partition);
    EXCEPTION
        WHEN lock_not_available THEN
            RETURN 0;
    END;
    RETURN 1;
END
$$;

CREATE OR REPLACE FUNCTION :"schema".set_event_log_retention(days integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms'
    AS $$
DECLARE
    old integer;
BEGIN
    SELECT retention_days INTO STRICT old FROM :"schema".event_log_state;
    IF (old = 0) <> (days = 0) THEN
        LOCK TABLE :"schema".outbox IN SHARE ROW EXCLUSIVE MODE NOWAIT;
        UPDATE :"schema".event_log_state
        SET missing_since = clock_timestamp(),
            missing_up_to = CASE
                WHEN days = 0 THEN 9223372036854775807
                -- Some events up to the newest id have left the outbox unlogged.
                ELSE (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM :"schema".outbox_id_seq)
            END;
    END IF;
    UPDATE :"schema".event_log_state SET retention_days = days;
END
$$;

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
$functions$;
BEGIN
    EXECUTE replace(
        replace(functions, ':"schema"', quote_ident(current_schema())), ':''schema''', quote_literal(current_schema())
    );
END
$do$;
