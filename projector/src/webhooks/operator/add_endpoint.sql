-- add_endpoint
-- Adds an endpoint. No row if another session has just taken the slot.
INSERT INTO webhook_endpoints (slot, url, kinds)
VALUES ($1, $2, $3)
ON CONFLICT (slot) DO NOTHING
RETURNING id
