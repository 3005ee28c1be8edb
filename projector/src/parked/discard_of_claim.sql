-- discard_of_claim
DELETE FROM parked_events
WHERE id = ANY($1)
RETURNING id, kind, error, attempts, created_at, parked_at, next_attempt_at, payload::text
