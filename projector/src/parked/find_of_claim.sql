-- find_of_claim
SELECT id, kind, error, attempts, created_at, parked_at, next_attempt_at, payload::text
FROM parked_events
WHERE id = ANY($1)
