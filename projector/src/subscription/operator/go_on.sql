-- go_on
-- A lost subscription goes on. A paused one stays paused.
UPDATE subscriptions
SET state = CASE WHEN state = 'paused' THEN 'paused' ELSE 'running' END,
    failures = 0,
    next_attempt_at = now(),
    last_error = NULL,
    updated_at = now()
WHERE name = $1
