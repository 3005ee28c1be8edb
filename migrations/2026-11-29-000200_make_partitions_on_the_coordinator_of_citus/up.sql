-- In a schema that Citus has distributed, only the coordinator makes and drops partitions: the functions call
-- themselves there. Otherwise they do the same as before in forms that Citus plans: a variable takes the place of a
-- VOLATILE function in an UPDATE. Their grants stay as they are.
--
-- `:"schema"` and `:'schema'` stand for the current schema, as an identifier and as a text. The functions name it: with
-- a search_path, one of its functions could take the place of PostgreSQL's.
DO $do$
DECLARE
    functions CONSTANT text := $functions$
-- Calls a function of the schema on the coordinator of Citus, if the schema is distributed and this is another node.
-- Otherwise it returns NULL: the caller does the work itself.
CREATE FUNCTION :"schema".run_on_coordinator(call text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    is_elsewhere boolean;
    ran          record;
BEGIN
    IF to_regproc('pg_catalog.run_command_on_coordinator') IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE 'SELECT NOT citus_is_coordinator() AND EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = $1)'
        INTO STRICT is_elsewhere
        USING format('%I.event_log', :'schema')::regclass;
    IF NOT is_elsewhere THEN
        RETURN NULL;
    END IF;
    EXECUTE 'SELECT success, result FROM run_command_on_coordinator($1)'
        INTO STRICT ran
        USING format('SELECT %I.%s', :'schema', call);
    IF NOT ran.success THEN
        RAISE EXCEPTION '% failed on the coordinator: %', call, ran.result;
    END IF;
    RETURN ran.result::integer;
END
$$;

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
    elsewhere CONSTANT integer := :"schema".run_on_coordinator('create_event_log_partitions()');
    -- A time as text depends on the TimeZone and the DateStyle of the session. This does not.
    midnight  CONSTANT text := 'YYYY-MM-DD "00:00:00+00"';
BEGIN
    IF elsewhere IS NOT NULL THEN
        RETURN elsewhere;
    END IF;
    -- Another process is doing this now.
    IF NOT pg_try_advisory_xact_lock(format('%I.event_log', :'schema')::regclass::oid::integer, 0) THEN
        RETURN 0;
    END IF;
    FOR day IN SELECT today + ahead FROM generate_series(-1, 7) AS ahead LOOP
        partition := 'event_log_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN EXISTS (
            SELECT 1 FROM pg_inherits
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
    clock     timestamptz;
    elsewhere CONSTANT integer := :"schema".run_on_coordinator('drop_expired_event_log_partition()');
BEGIN
    IF elsewhere IS NOT NULL THEN
        RETURN elsewhere;
    END IF;
    IF NOT pg_try_advisory_xact_lock(format('%I.event_log', :'schema')::regclass::oid::integer, 0) THEN
        RETURN 0;
    END IF;
    SELECT * INTO STRICT log FROM :"schema".event_log_state;
    SELECT relname INTO partition
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = format('%I.event_log', :'schema')::regclass
        AND right(relname, 8) COLLATE "C"
            < to_char((now() AT TIME ZONE 'UTC')::date - log.retention_days, 'YYYYMMDD')
    ORDER BY relname
    LIMIT 1;
    IF partition IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT coalesce(max(position), 0) FROM %I.%I', :'schema', partition) INTO newest;
    clock := clock_timestamp();
    IF newest > log.missing_up_to THEN
        UPDATE :"schema".event_log_state SET missing_up_to = newest, missing_since = clock;
        RETURN 0;
    END IF;
    -- BETWEEN: a clock that was set back does not stop it.
    IF log.missing_since BETWEEN clock - interval '1 minute' AND clock
        OR log.drop_tried_at BETWEEN clock - interval '1 minute' AND clock THEN
        RETURN 0;
    END IF;
    UPDATE :"schema".event_log_state SET drop_tried_at = clock;
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
    old     integer;
    missing bigint := 9223372036854775807;
    clock   timestamptz;
BEGIN
    SELECT retention_days INTO STRICT old FROM :"schema".event_log_state;
    IF (old = 0) <> (days = 0) THEN
        LOCK TABLE :"schema".outbox IN SHARE ROW EXCLUSIVE MODE NOWAIT;
        clock := clock_timestamp();
        IF days > 0 THEN
            -- Some events up to the newest id have left the outbox unlogged.
            SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END INTO STRICT missing
            FROM :"schema".outbox_id_seq;
        END IF;
        UPDATE :"schema".event_log_state SET missing_since = clock, missing_up_to = missing;
    END IF;
    UPDATE :"schema".event_log_state SET retention_days = days;
END
$$;
$functions$;
BEGIN
    EXECUTE replace(
        replace(functions, ':"schema"', quote_ident(current_schema())), ':''schema''', quote_literal(current_schema())
    );
END
$do$;

REVOKE EXECUTE ON FUNCTION run_on_coordinator(text) FROM PUBLIC;
