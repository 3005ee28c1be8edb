-- list_of_claim
SELECT id, kind, error, attempts, created_at, parked_at, next_attempt_at, payload::text
FROM parked_events
WHERE id > $1
ORDER BY id
LIMIT $2
