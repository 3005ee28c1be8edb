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
$functions$;
BEGIN
    EXECUTE replace(
        replace(functions, ':"schema"', quote_ident(current_schema())), ':''schema''', quote_literal(current_schema())
    );
END
$do$;

DROP FUNCTION run_on_coordinator(text);
