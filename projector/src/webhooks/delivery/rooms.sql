-- rooms
-- How many deliveries may be added for each of these endpoints. Only those that are due count: a refused event, and the
-- later events of its order, wait for its next attempt and keep nothing else from being sent. However many those are,
-- a few that were never tried fit: without them nothing could succeed. At a crowded endpoint these are all, and only
-- if nothing has succeeded for minutes.
SELECT known.endpoint, greatest(0, due_max - due.number, untried_max - untried.number)
FROM unnest($1::bigint[], $2::timestamptz[], $3::boolean[]) AS known (endpoint, floor, is_crowded)
CROSS JOIN LATERAL (
    SELECT
        -- Below the floor there are only dead rows. If the clock was set back, it is too high.
        least(known.floor, now() - interval '10 seconds') AS due_from,
        CASE WHEN is_crowded THEN 0 ELSE $4::bigint END AS due_max,
        CASE WHEN is_crowded AND (
            SELECT true
            FROM webhook_attempts
            WHERE endpoint = known.endpoint AND error IS NULL
                AND attempted_at > now() - interval '5 minutes' AND attempted_at <= now()
            ORDER BY attempted_at DESC
            LIMIT 1
        ) THEN 0 ELSE $5::bigint END AS untried_max
    FROM webhook_endpoints
    WHERE id = known.endpoint
    -- OFFSET and LIMIT keep these searches in indexes, whatever the statistics say.
    OFFSET 0
) AS limits
CROSS JOIN LATERAL (
    SELECT count(*) AS number
    FROM (
        SELECT 1
        FROM deliveries
        WHERE endpoint = known.endpoint AND next_attempt_at >= due_from AND next_attempt_at <= now()
        ORDER BY next_attempt_at, position
        LIMIT due_max
    ) AS counted
) AS due
CROSS JOIN LATERAL (
    SELECT count(*) AS number
    FROM (
        SELECT 1
        FROM deliveries AS due_one
        -- Only if this can matter.
        WHERE due.number > due_max - untried_max
            AND endpoint = known.endpoint AND next_attempt_at >= due_from AND next_attempt_at <= now()
            AND failures = 0
            -- Not those that wait for an earlier one of their order, as in `take`.
            AND (
                SELECT true
                FROM deliveries AS earlier
                WHERE earlier.endpoint = due_one.endpoint
                    AND earlier.order_id = due_one.order_id
                    AND earlier.position < due_one.position
                ORDER BY earlier.position
                LIMIT 1
            ) IS NULL
        ORDER BY next_attempt_at, position
        LIMIT untried_max
    ) AS counted
) AS untried
