-- remove_endpoint
-- Its secrets, deliveries and attempts go with it. Returns its URL.
DELETE FROM webhook_endpoints
WHERE id = $1
RETURNING url
