-- outbox_writers
-- The transactions that may have allocated an outbox id and have not ended. An INSERT locks the table before it
-- allocates an id, and nextval() locks the sequence. Both locks are held until everything that the transaction wrote is
-- visible.
SELECT
    ARRAY(
        SELECT DISTINCT virtualtransaction
        FROM pg_locks
        WHERE locktype = 'relation'
            AND mode = 'RowExclusiveLock'
            AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND relation IN ('outbox'::regclass, 'outbox_id_seq'::regclass)
    ),
    -- Identifies the server run: when the server started, and its last crash. Recovery resets the statistics.
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0)
