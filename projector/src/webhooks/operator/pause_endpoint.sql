-- pause_endpoint
-- Requests in flight still end. Returns whether there is such an endpoint.
UPDATE webhook_endpoints
SET state = 'paused', paused_reason = coalesce(paused_reason, 'operator'), revision = revision + 1
WHERE id = $1
RETURNING id
