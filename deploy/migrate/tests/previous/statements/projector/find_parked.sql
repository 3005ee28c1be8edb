-- find_parked
SELECT id, kind, error, attempts, created_at, parked_at, next_attempt_at, payload::text
FROM parked_events
WHERE $1 OR id = ANY($2)
ORDER BY id
