-- is_endpoint_ready
-- Whether an endpoint may be sent something now, also if another process has locked it.
SELECT state = 'active' AND hold_until <= now()
FROM webhook_endpoints
WHERE id = $1
