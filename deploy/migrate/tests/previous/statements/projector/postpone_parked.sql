-- postpone_parked
UPDATE parked_events
SET next_attempt_at = now() + interval '500 milliseconds'
WHERE id = ANY($1)
