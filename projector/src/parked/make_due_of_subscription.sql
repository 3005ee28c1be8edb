-- make_due_of_subscription
UPDATE subscription_parked
SET next_attempt_at = now()
WHERE id = ANY($1) AND subscription = $2
RETURNING id
