-- The event log: every event as it was written, kept for some days after it has left the outbox. Subscriptions read it
-- by position. Owned by the projector.
--
-- What locks the outbox comes last: other sessions queue behind it.
SET LOCAL lock_timeout = '200ms';

CREATE TABLE event_log (
    -- The event's id in the outbox. No two events have the same one: the trigger sees to it. A constraint would have to
    -- include the time.
    position    bigint      NOT NULL,
    kind        text        NOT NULL,
    payload     json        NOT NULL,
    traceparent text,
    -- When the transaction began that took the event out of the outbox.
    recorded_at timestamptz NOT NULL
) PARTITION BY RANGE (recorded_at);

CREATE INDEX event_log_position ON event_log (position);

-- One row: what holds for the whole log.
CREATE TABLE event_log_state (
    is_only        boolean     PRIMARY KEY DEFAULT true,
    -- For how many days events are kept; 0: events are not logged.
    retention_days smallint    NOT NULL DEFAULT 7,
    -- Events up to this position may be missing: their partition has expired, or they were not logged.
    missing_up_to  bigint      NOT NULL DEFAULT 0,
    missing_since  timestamptz NOT NULL DEFAULT now(),
    -- When a process last tried to drop an expired partition.
    drop_tried_at  timestamptz,
    -- The history in which events are logged: see current_history().
    history        bigint      NOT NULL DEFAULT current_history(),

    CONSTRAINT event_log_state_is_one_row CHECK (is_only),
    CONSTRAINT event_log_state_retention CHECK (retention_days BETWEEN 0 AND 90)
) WITH (fillfactor = 50);

-- The newest row: no event will be logged below this position. Readers pass a hole only below it. Each change is a new
-- row, because every claim reads this: the newest entry of an index is found at once, however many dead rows a long
-- transaction keeps. The versions of an updated row would all be read.
CREATE TABLE event_log_settled (
    below bigint PRIMARY KEY
);
INSERT INTO event_log_settled VALUES (0);

-- The histories that this log has seen, in order. A reader's position belongs to one of them. It is valid in a later
-- one if that began after it.
CREATE TABLE event_log_histories (
    number         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    history        bigint      NOT NULL,
    -- The newest position in the log when this history began.
    after_position bigint      NOT NULL,
    began_at       timestamptz NOT NULL DEFAULT now()
);

-- Makes the partitions of the days around now, in UTC: one a day, up to seven days ahead. Returns how many were made.
-- The day before is there for a clock that is set back. ATTACH, unlike CREATE TABLE … PARTITION OF, does not block
-- readers and writers of the log.
CREATE FUNCTION create_event_log_partitions() RETURNS integer
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

-- Drops the oldest partition whose events are all older than the retention, if there is one. Returns how many were
-- dropped. It tries once a minute, whichever process calls it.
--
-- Two calls, at least a minute apart, drop a partition: the first records which positions will be missing. So no reader
-- whose statement began before the drop can take the missing events for a hole.
--
-- A drop needs the whole log for a moment, and waits for transactions that have read it. Claims queue behind that, and
-- give up after 50 ms. So it gives up sooner, and waits only once a minute.
CREATE FUNCTION drop_expired_event_log_partition() RETURNS integer
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

-- Sets for how many days events are kept. Switching the log on or off fails while a transaction is writing to the
-- outbox: it might still delete events under the old value. It does not wait, because all others would queue behind it.
CREATE FUNCTION set_event_log_retention(days integer) RETURNS void
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

-- Logs the events that a statement has deleted from the outbox, in its transaction: whichever program deletes them. If
-- it fails, the events stay in the outbox.
CREATE FUNCTION log_deleted_events() RETURNS trigger
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

REVOKE EXECUTE ON FUNCTION
    create_event_log_partitions(), drop_expired_event_log_partition(), set_event_log_retention(integer),
    log_deleted_events()
    FROM PUBLIC;

SELECT create_event_log_partitions();

GRANT SELECT ON event_log, event_log_state, event_log_settled, event_log_histories TO orders_projector;
GRANT INSERT, DELETE ON event_log_settled TO orders_projector;
GRANT EXECUTE ON FUNCTION
    create_event_log_partitions(), drop_expired_event_log_partition(), set_event_log_retention(integer)
    TO orders_projector;

-- The W3C trace context of the request that wrote the event.
ALTER TABLE outbox ADD COLUMN traceparent text;

-- Some events up to the newest id have left the outbox before this migration. Nobody deletes any now.
INSERT INTO event_log_state (missing_up_to)
SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM outbox_id_seq;
INSERT INTO event_log_histories (history, after_position) SELECT history, missing_up_to FROM event_log_state;

CREATE TRIGGER log_deleted_events
    AFTER DELETE ON outbox
    REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION log_deleted_events();
