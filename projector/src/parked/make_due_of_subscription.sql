-- make_due_of_subscription
UPDATE subscription_parked
SET next_attempt_at = now()
WHERE subscription = $1 AND ($2 OR id = ANY($3))
RETURNING id
