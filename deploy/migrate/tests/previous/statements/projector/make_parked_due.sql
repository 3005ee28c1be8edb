-- make_parked_due
UPDATE parked_events
SET next_attempt_at = now()
WHERE $1 OR id = ANY($2)
RETURNING id
