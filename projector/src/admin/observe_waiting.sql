-- observe_waiting
-- How many events wait for a locked row, counted up to 100000, and how old the first is.
SELECT waiting, coalesce(oldest_seconds, 0) AS oldest_seconds
FROM (
    SELECT count(*) AS waiting
    FROM (SELECT 1 FROM waiting_events LIMIT 100000) AS locked
) AS locked
LEFT JOIN (
    SELECT
        greatest(0, extract(epoch FROM clock_timestamp()) - extract(epoch FROM created_at))::float8 AS oldest_seconds
    FROM waiting_events
    ORDER BY id
    LIMIT 1
) AS first ON true
