-- observe
-- The state of the outbox, the waiting and the parked events.
WITH input AS (SELECT $1::bigint AS low_water_mark)
SELECT
    -- Up to 100000 events are counted. More are estimated by the range of their ids, which is too high only if ids were
    -- allocated and never committed, or if an old event is still claimed.
    CASE WHEN counted < 100000 THEN counted ELSE greatest(counted, newest - oldest + 1) END + waiting AS backlog,
    greatest(oldest_seconds, oldest_waiting_seconds, 0) AS oldest_seconds,
    waiting,
    parked_retrying,
    parked_left_for_operator,
    coalesce(dead_rows, 0) AS dead_rows,
    oldest_transaction_seconds() AS oldest_transaction_seconds
FROM (
    SELECT count(*) AS counted
    FROM (SELECT FROM outbox WHERE id >= (SELECT low_water_mark FROM input) LIMIT 100000) AS unprojected
) AS count
LEFT JOIN (
    SELECT
        id AS oldest,
        greatest(0, extract(epoch FROM clock_timestamp()) - extract(epoch FROM created_at))::float8 AS oldest_seconds
    FROM outbox
    WHERE id >= (SELECT low_water_mark FROM input)
    ORDER BY id
    LIMIT 1
) AS first ON true
LEFT JOIN (
    SELECT id AS newest
    FROM outbox
    WHERE id >= (SELECT low_water_mark FROM input)
    ORDER BY id DESC
    LIMIT 1
) AS last ON true
CROSS JOIN (
    -- Counted up to 100000.
    SELECT count(*) AS waiting
    FROM (SELECT FROM waiting_events LIMIT 100000) AS locked
) AS locked
LEFT JOIN (
    SELECT
        greatest(0, extract(epoch FROM clock_timestamp()) - extract(epoch FROM created_at))::float8
            AS oldest_waiting_seconds
    FROM waiting_events
    ORDER BY id
    LIMIT 1
) AS first_waiting ON true
CROSS JOIN (
    SELECT
        count(next_attempt_at) AS parked_retrying,
        count(*) - count(next_attempt_at) AS parked_left_for_operator
    FROM parked_events
) AS parked
LEFT JOIN (
    SELECT n_dead_tup AS dead_rows
    FROM pg_stat_user_tables
    WHERE relid = 'outbox'::regclass
) AS statistics ON true
