-- discard_all_of_claim
DELETE FROM parked_events
RETURNING id, kind, error, attempts, created_at, parked_at, next_attempt_at, payload::text
