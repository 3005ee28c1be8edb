-- The event log and unfinished indexes.
WITH log AS (SELECT retention_days FROM event_log_state),
partition AS (
    SELECT to_date(right(relname, 8), 'YYYYMMDD') AS day
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'event_log'::regclass
),
today (today) AS (SELECT (now() AT TIME ZONE 'UTC')::date)
SELECT 'error' AS level, format('the event log has no partition for %s: no event can leave the outbox then',
        day::date) AS finding,
    'SELECT create_event_log_partitions(), and run a projector: it does this each minute.' AS remedy
FROM log, today, generate_series(today, today + 1, interval '1 day') AS day
WHERE retention_days > 0 AND day::date NOT IN (SELECT partition.day FROM partition)
UNION ALL
SELECT 'warning', format('the event log has %s partitions that have expired', count(*)),
    'Run a projector: it drops one each minute. If one runs, something reads the log in a long transaction.'
FROM log, today, partition
WHERE day + 1 < today - retention_days - 1
HAVING count(*) > 0
UNION ALL
SELECT 'error', 'the trigger log_deleted_events of the outbox is disabled: nothing is projected',
    'ALTER TABLE outbox ENABLE TRIGGER log_deleted_events'
FROM pg_trigger
WHERE tgrelid = 'outbox'::regclass AND tgname = 'log_deleted_events' AND tgenabled NOT IN ('O', 'A')
UNION ALL
SELECT 'error', 'the trigger log_deleted_events of the outbox is missing: nothing is projected',
    'CREATE TRIGGER log_deleted_events AFTER DELETE ON outbox REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION log_deleted_events()'
WHERE NOT EXISTS (
    SELECT 1 FROM pg_trigger WHERE tgrelid = 'outbox'::regclass AND tgname = 'log_deleted_events'
)
UNION ALL
SELECT DISTINCT 'error', format('a trigger of %s is disabled: references are not checked, or rows not logged',
        tgrelid::regclass), format('ALTER TABLE %s ENABLE TRIGGER ALL', tgrelid::regclass)
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = quote_ident(current_schema())::regnamespace AND tgenabled NOT IN ('O', 'A')
    AND tgname <> 'log_deleted_events'
UNION ALL
SELECT 'warning', format('the index %s is not finished: it slows writes, and no query uses it', indexrelid::regclass),
    'migrate up'
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relnamespace = quote_ident(current_schema())::regnamespace
