-- add_endpoint
-- Adds an endpoint in the lowest free slot. No row if there is none, or if another session has just taken it.
INSERT INTO webhook_endpoints (slot, url, kinds)
SELECT slot, $1, $2
FROM generate_series(1, 100) AS slot
WHERE NOT EXISTS (SELECT FROM webhook_endpoints AS taken WHERE taken.slot = slot.slot)
ORDER BY slot
LIMIT 1
ON CONFLICT (slot) DO NOTHING
RETURNING id
