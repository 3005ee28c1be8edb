-- lock_subscription
-- Waits for the worker that has locked it.
SELECT state, checkpoint
FROM subscriptions
WHERE name = $1
FOR NO KEY UPDATE
