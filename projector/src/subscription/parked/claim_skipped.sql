-- claim_skipped
-- Locks a parked event of a listener that an operator has made due.
SELECT id, position, kind, payload::text, recorded_at
FROM subscription_parked
WHERE subscription = $1 AND next_attempt_at <= now()
ORDER BY next_attempt_at, id
LIMIT 1
FOR UPDATE SKIP LOCKED
