-- claim_skipped
-- Locks a parked event of a listener that an operator has made due, at whatever time: the clock may have been ahead.
SELECT id, position, kind, payload::text, recorded_at, traceparent
FROM subscription_parked
WHERE subscription = $1 AND next_attempt_at IS NOT NULL
ORDER BY next_attempt_at, id
LIMIT 1
FOR UPDATE SKIP LOCKED
