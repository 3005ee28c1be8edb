-- observe_outbox
-- How many events are in the outbox, and how old the first is.
WITH input AS (SELECT $1::bigint AS low_water_mark)
SELECT
    -- Up to 100000 events are counted. More are estimated by the range of their ids, which is too high only if ids were
    -- allocated and never committed, or if an old event is still claimed.
    CASE WHEN counted < 100000 THEN counted ELSE greatest(counted, newest - oldest + 1) END AS events,
    coalesce(oldest_seconds, 0) AS oldest_seconds
FROM (
    SELECT count(*) AS counted
    FROM (SELECT 1 FROM outbox WHERE id >= (SELECT low_water_mark FROM input) LIMIT 100000) AS unprojected
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
