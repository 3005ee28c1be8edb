-- observe_endpoints
-- Whether each endpoint gets events, how many deliveries wait there, counted up to 10001, and how old the oldest event
-- is that it has not got.
SELECT
    id, state = 'active' AND coalesce(feed.is_running, false), feed.is_running IS NOT NULL, waiting.number::integer,
    greatest(
        0,
        extract(epoch FROM now() - oldest.recorded_at),
        extract(epoch FROM now() - feed.recorded_at)
    )::float8
FROM webhook_endpoints
LEFT JOIN unnest($1, $2) AS known (endpoint, floor) ON known.endpoint = id
CROSS JOIN LATERAL (
    SELECT count(*) AS number, min(position) AS position
    FROM (
        SELECT position
        FROM deliveries
        WHERE endpoint = webhook_endpoints.id
            -- Below the floor there are only dead rows. If the clock was set back, it is too high.
            AND next_attempt_at >= least(coalesce(known.floor, '-infinity'), now() - interval '10 seconds')
        ORDER BY next_attempt_at, position
        LIMIT 10001
    ) AS counted
) AS waiting
LEFT JOIN LATERAL (
    SELECT recorded_at
    FROM deliveries
    WHERE endpoint = webhook_endpoints.id AND position BETWEEN waiting.position AND waiting.position
    ORDER BY position
    LIMIT 1
) AS oldest ON true
LEFT JOIN LATERAL (
    SELECT subscriptions.state = 'running' AS is_running, next.recorded_at
    FROM subscriptions
    LEFT JOIN LATERAL (
        -- The next event that is not copied yet.
        SELECT recorded_at
        FROM event_log
        WHERE position > (
            SELECT checkpoint
            FROM subscription_checkpoints
            WHERE subscription = subscriptions.name
            ORDER BY generation DESC
            LIMIT 1
        )
        ORDER BY position
        LIMIT 1
    ) AS next ON true
    WHERE name = 'webhook:' || webhook_endpoints.id
) AS feed ON true
ORDER BY id
