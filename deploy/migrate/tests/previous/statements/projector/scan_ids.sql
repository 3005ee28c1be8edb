-- scan_ids
-- Whether all transactions below an xid have ended, and if so, the lowest event in a range of ids. One snapshot decides
-- both. While transactions are running, the range is not scanned.
SELECT
    is_settled,
    CASE WHEN is_settled THEN (
        SELECT id
        FROM outbox
        WHERE id >= $1 AND id < $2
        ORDER BY id
        LIMIT 1
    ) END,
    -- Identifies the server run: when the server started, and its last crash. Recovery resets the statistics.
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0)
FROM (
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= $3 AS is_settled
) AS snapshot
