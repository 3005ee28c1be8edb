-- discard_parked
DELETE FROM parked_events
WHERE $1 OR id = ANY($2)
RETURNING id, kind, error, attempts, created_at, parked_at, next_attempt_at, payload::text
