-- lock_endpoint
-- Locks an endpoint that may be sent something now. The lock makes the limit on requests exact: only one transaction at
-- a time leases deliveries of an endpoint. Another session that holds it is not waited for. Returns the failures in a
-- row, and when the last success was, of whatever process.
SELECT failures, (
    SELECT attempted_at
    FROM webhook_attempts
    -- One in the future was recorded while the clock was ahead.
    WHERE endpoint = webhook_endpoints.id AND error IS NULL AND attempted_at <= now()
    -- Only one index has this order. The primary key would read all failures since then.
    ORDER BY attempted_at DESC
    LIMIT 1
)
FROM webhook_endpoints
WHERE id = $1 AND state = 'active' AND hold_until <= now()
FOR NO KEY UPDATE SKIP LOCKED
