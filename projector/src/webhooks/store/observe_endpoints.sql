-- observe_endpoints
-- How many deliveries wait at each endpoint, counted up to 1001, and how old the oldest event is.
SELECT id, state = 'active', waiting.number::integer, coalesce(oldest.seconds, 0)
FROM webhook_endpoints
CROSS JOIN LATERAL (
    SELECT count(*) AS number
    FROM (SELECT FROM deliveries WHERE endpoint = webhook_endpoints.id LIMIT 1001) AS counted
) AS waiting
LEFT JOIN LATERAL (
    SELECT greatest(0, extract(epoch FROM now() - recorded_at))::float8 AS seconds
    FROM deliveries
    WHERE endpoint = webhook_endpoints.id
    ORDER BY position
    LIMIT 1
) AS oldest ON true
ORDER BY id
