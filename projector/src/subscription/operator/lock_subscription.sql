-- lock_subscription
-- Waits for the worker that has locked it.
SELECT name, failures, state
FROM subscriptions
WHERE name = $1
FOR NO KEY UPDATE
