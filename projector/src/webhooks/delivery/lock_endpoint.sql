-- lock_endpoint
-- Locks an endpoint that may be sent something now. The lock makes the limit on requests exact: only one transaction at
-- a time leases deliveries of an endpoint. Another session that holds it is not waited for.
SELECT failures
FROM webhook_endpoints
WHERE id = $1 AND state = 'active' AND hold_until <= now()
FOR NO KEY UPDATE SKIP LOCKED
