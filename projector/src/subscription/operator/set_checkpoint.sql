-- set_checkpoint
-- A lost subscription goes on. A paused one stays paused.
UPDATE subscriptions
SET checkpoint = $1,
    history = $2,
    state = CASE WHEN state = 'paused' THEN 'paused' ELSE 'running' END,
    failures = 0,
    next_attempt_at = now(),
    last_error = NULL,
    updated_at = now()
WHERE name = $3
