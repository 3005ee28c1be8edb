-- list_endpoints
-- All endpoints, or one of them, with what waits there. Deliveries are counted up to 1001.
SELECT
    id, url, kinds, state, paused_reason, created_at, failures, failing_since,
    CASE WHEN hold_until > now() THEN hold_until END,
    waiting.number, waiting.oldest,
    (SELECT count(*) FROM subscription_parked WHERE subscription = 'webhook:' || id)
FROM webhook_endpoints
CROSS JOIN LATERAL (
    SELECT count(*) AS number, min(recorded_at) AS oldest
    FROM (SELECT recorded_at FROM deliveries WHERE endpoint = webhook_endpoints.id LIMIT 1001) AS counted
) AS waiting
WHERE $1::bigint IS NULL OR id = $2
ORDER BY id
