-- poll_endpoints
-- Which endpoints there are, in which revision, whether something may be sent to them, and since when the delivery is
-- due that has been so for the longest time. Below an endpoint's floor there are only dead rows; if the clock was set
-- back, it is too high. Also says on which run of a server this was.
WITH server AS MATERIALIZED (
    SELECT
        (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started,
        coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0) AS stats_reset
)
SELECT id, revision, ready.is_ready, (
    -- LIMIT 1 keeps this a search in the index, whatever the statistics say.
    SELECT next_attempt_at
    FROM deliveries
    WHERE ready.is_ready
        AND endpoint = webhook_endpoints.id
        AND next_attempt_at >= least(coalesce(known.floor, '-infinity'), now() - interval '10 seconds')
        AND next_attempt_at <= now()
    ORDER BY next_attempt_at, position
    LIMIT 1
), started, stats_reset
FROM webhook_endpoints
CROSS JOIN server
CROSS JOIN LATERAL (SELECT state = 'active' AND hold_until <= now() AS is_ready) AS ready
LEFT JOIN unnest($1, $2) AS known (endpoint, floor) ON known.endpoint = id
ORDER BY id
