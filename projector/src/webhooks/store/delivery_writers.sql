-- delivery_writers
-- The transactions that may have changed deliveries, or wait to do so, and have not ended. A statement locks the table
-- before it writes. The lock is held until everything that the transaction wrote is visible.
SELECT
    ARRAY(
        SELECT DISTINCT virtualtransaction
        FROM pg_locks
        WHERE locktype = 'relation'
            AND mode = 'RowExclusiveLock'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND relation = 'deliveries'::regclass
    ),
    now(),
    -- Identifies the server run: when the server started, and its last crash. Recovery resets the statistics.
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0)
