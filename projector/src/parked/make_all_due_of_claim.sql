-- make_all_due_of_claim
UPDATE parked_events
SET next_attempt_at = now()
RETURNING id
