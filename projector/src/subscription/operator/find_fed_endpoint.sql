-- find_fed_endpoint
-- The webhook endpoint that a subscription feeds.
SELECT id
FROM webhook_endpoints
WHERE 'webhook:' || id = $1
