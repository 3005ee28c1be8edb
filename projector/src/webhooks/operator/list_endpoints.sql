-- list_endpoints
-- All endpoints, or one of them, with what waits there. Deliveries are counted up to 10001.
SELECT
    id, url, kinds, state, paused_reason, created_at, failures, failing_since,
    CASE WHEN hold_until > now() THEN hold_until END,
    waiting.number, waiting.oldest,
    -- Up to 100000, as those of subscriptions.
    (
        SELECT count(*)
        FROM (SELECT 1 FROM subscription_parked WHERE subscription = 'webhook:' || id LIMIT 100000) AS first
    ),
    feed.subscription_state, feed.oldest_not_copied
FROM webhook_endpoints
CROSS JOIN LATERAL (
    SELECT count(*) AS number, min(recorded_at) AS oldest
    FROM (SELECT recorded_at FROM deliveries WHERE endpoint = webhook_endpoints.id LIMIT 10001) AS counted
) AS waiting
LEFT JOIN LATERAL (
    SELECT subscriptions.state AS subscription_state, next.recorded_at AS oldest_not_copied
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
WHERE $1::bigint IS NULL OR id = $2
ORDER BY id
