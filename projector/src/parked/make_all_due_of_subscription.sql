-- make_all_due_of_subscription
UPDATE subscription_parked
SET next_attempt_at = now()
WHERE subscription = $1
RETURNING id
