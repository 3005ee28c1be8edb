-- last_attempts
-- The last attempts of an endpoint, newest first.
SELECT attempted_at, position, event_id, status, latency_ms, error
FROM webhook_attempts
WHERE endpoint = $1
ORDER BY id DESC
LIMIT $2
