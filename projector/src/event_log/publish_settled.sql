-- publish_settled
-- No event will be logged below this position, if the server run is still the one in which that was found out. Ids that
-- were lost in a crash or a failover are allocated again. Writes nothing if it is known. The first two parameters are
-- the same position: each parameter occurs once in a file.
UPDATE event_log_state
SET settled_below = $1
WHERE settled_below < $2
    AND (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint = $3
    AND coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0) = $4
