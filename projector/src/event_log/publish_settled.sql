-- publish_settled
-- No event will be logged below this position, if the server run is still the one in which that was found out: ids that
-- were lost in a crash or a failover are allocated again. Writes nothing if it is known.
WITH input AS (
    SELECT $1::bigint AS below, $2::bigint AS started, $3::bigint AS stats_reset
), known AS MATERIALIZED (
    SELECT below FROM event_log_settled ORDER BY below DESC LIMIT 1
), newer AS MATERIALIZED (
    SELECT input.below
    FROM input, known
    WHERE input.below > known.below
        AND input.started = (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
        AND input.stats_reset
            = coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0)
), replaced AS (
    DELETE FROM event_log_settled
    WHERE below = (SELECT known.below FROM known, newer)
)
INSERT INTO event_log_settled (below)
SELECT below FROM newer
-- Another process may be publishing the same.
ON CONFLICT DO NOTHING
