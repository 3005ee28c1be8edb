-- Also where the tables are in another schema than `public`.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION create_event_log_partitions() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms'
    AS $$
DECLARE
    today     date := (now() AT TIME ZONE 'UTC')::date;
    day       date;
    partition text;
    made      integer := 0;
BEGIN
    -- Another process is doing this now.
    IF NOT pg_try_advisory_xact_lock('public.event_log'::regclass::oid::integer, 0) THEN
        RETURN 0;
    END IF;
    FOR day IN SELECT today + ahead FROM generate_series(-1, 7) AS ahead LOOP
        partition := 'event_log_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits
            WHERE inhparent = 'public.event_log'::regclass AND inhrelid = to_regclass('public.' || partition)
        );
        -- Nothing is updated or deleted here: vacuum would only read it.
        EXECUTE format(
            'CREATE TABLE public.%I (LIKE public.event_log) WITH (autovacuum_vacuum_insert_threshold = -1)', partition
        );
        EXECUTE format(
            'ALTER TABLE public.event_log ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            partition, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

CREATE OR REPLACE FUNCTION drop_expired_event_log_partition() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
    AS $$
DECLARE
    log       public.event_log_state;
    partition text;
    newest    bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock('public.event_log'::regclass::oid::integer, 0) THEN
        RETURN 0;
    END IF;
    SELECT * INTO STRICT log FROM public.event_log_state;
    SELECT relname INTO partition
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'public.event_log'::regclass
        AND to_date(right(relname, 8), 'YYYYMMDD') + 1 <= (now() AT TIME ZONE 'UTC')::date - log.retention_days
    ORDER BY relname
    LIMIT 1;
    IF partition IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT coalesce(max(position), 0) FROM public.%I', partition) INTO newest;
    IF newest > log.missing_up_to THEN
        UPDATE public.event_log_state SET missing_up_to = newest, missing_since = clock_timestamp();
        RETURN 0;
    END IF;
    -- BETWEEN: a clock that was set back does not stop it.
    IF log.missing_since BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
        OR log.drop_tried_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() THEN
        RETURN 0;
    END IF;
    UPDATE public.event_log_state SET drop_tried_at = clock_timestamp();
    BEGIN
        LOCK TABLE public.event_log IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('DROP TABLE public.%I', partition);
    EXCEPTION
        WHEN lock_not_available THEN
            RETURN 0;
    END;
    RETURN 1;
END
$$;

CREATE OR REPLACE FUNCTION set_event_log_retention(days integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms'
    AS $$
DECLARE
    old integer;
BEGIN
    SELECT retention_days INTO STRICT old FROM public.event_log_state;
    IF (old = 0) <> (days = 0) THEN
        LOCK TABLE public.outbox IN SHARE ROW EXCLUSIVE MODE NOWAIT;
        UPDATE public.event_log_state
        SET missing_since = clock_timestamp(),
            missing_up_to = CASE
                WHEN days = 0 THEN 9223372036854775807
                -- Some events up to the newest id have left the outbox unlogged.
                ELSE (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM public.outbox_id_seq)
            END;
    END IF;
    UPDATE public.event_log_state SET retention_days = days;
END
$$;

CREATE OR REPLACE FUNCTION log_deleted_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    log       public.event_log_state;
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
    SELECT * INTO STRICT log FROM public.event_log_state;
    IF log.retention_days = 0 THEN
        RETURN NULL;
    END IF;
    IF log.history <> public.current_history() THEN
        -- The first claims wait for one another: none may log events before it is recorded where the old history ended.
        PERFORM FROM public.event_log_state WHERE history <> public.current_history() FOR UPDATE;
        IF FOUND THEN
            UPDATE public.event_log_state SET history = public.current_history();
            INSERT INTO public.event_log_histories (history, after_position)
            SELECT public.current_history(), greatest(max(position), log.missing_up_to) FROM public.event_log;
        END IF;
    END IF;
    SELECT below INTO STRICT settled FROM public.event_log_settled ORDER BY below DESC LIMIT 1;
    SELECT last_value INTO STRICT allocated FROM public.outbox_id_seq;
    -- Whether a position has been used: by an id that was allocated twice. Nearly always, nothing is logged between the
    -- ids of a batch, or only less than those that committed late. LIMIT: never a join, which may read the whole log.
    SELECT position INTO next FROM public.event_log WHERE position >= oldest ORDER BY position LIMIT 1;
    IF next <= newest THEN
        is_logged := EXISTS (
            SELECT
            FROM deleted
            CROSS JOIN LATERAL (SELECT FROM public.event_log WHERE position = id LIMIT 1) AS logged
            WHERE id BETWEEN next AND (SELECT max(position) FROM public.event_log)
        );
    END IF;
    IF oldest >= settled AND newest <= allocated AND NOT is_logged THEN
        INSERT INTO public.event_log (position, kind, payload, traceparent, recorded_at)
        SELECT id, kind, payload, traceparent, now() FROM deleted;
        RETURN NULL;
    END IF;
    -- Readers have passed some of these ids, or will reach them long after others: inserted by hand, allocated long
    -- before they were used by a sequence with a cache, or by one that was set back. They get fresh positions. One
    -- worker at a time, because the sequence may have to be set forward first.
    PERFORM pg_advisory_xact_lock('public.event_log'::regclass::oid::integer, 1);
    SELECT last_value INTO STRICT allocated FROM public.outbox_id_seq;
    SELECT greatest(settled - 1, max(position)) INTO ahead FROM public.event_log;
    IF ahead > allocated THEN
        PERFORM setval('public.outbox_id_seq', ahead);
    END IF;
    INSERT INTO public.event_log (position, kind, payload, traceparent, recorded_at)
    SELECT
        CASE
            WHEN id BETWEEN settled AND allocated
                AND NOT EXISTS (SELECT FROM public.event_log WHERE position = id) THEN id
            ELSE nextval('public.outbox_id_seq')
        END,
        kind, payload, traceparent, now()
    FROM (SELECT * FROM deleted ORDER BY id) AS ordered;
    RAISE WARNING
        'events with ids from % to % are outside of % to %, or were used before: those are logged under new positions',
        oldest, newest, settled, allocated;
    RETURN NULL;
END
$$;
