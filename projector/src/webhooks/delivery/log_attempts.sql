-- log_attempts
-- Keeps what became of each request. No row if the endpoint has been removed.
INSERT INTO webhook_attempts (endpoint, position, event_id, status, latency_ms, error)
SELECT id, position, event_id, status, latency_ms, error
FROM webhook_endpoints, unnest($1, $2, $3, $4, $5) AS t (position, event_id, status, latency_ms, error)
WHERE id = $6
