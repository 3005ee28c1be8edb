-- make_due_of_claim
UPDATE parked_events
SET next_attempt_at = now()
WHERE id = ANY($1)
RETURNING id
