-- server_run
-- Identifies the server run: when the server started, and its last crash. Recovery resets the statistics.
SELECT
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0)
