-- postpone_logged
-- Their rows are locked, which is not a failed attempt.
UPDATE subscription_parked
SET next_attempt_at = now() + interval '500 milliseconds'
WHERE id = ANY($1)
