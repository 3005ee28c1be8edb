-- free_slot
-- The lowest slot that no endpoint has.
SELECT slot::smallint
FROM generate_series(1, 100) AS slot
WHERE slot <> ALL (ARRAY(SELECT taken.slot::integer FROM webhook_endpoints AS taken))
ORDER BY slot
LIMIT 1
