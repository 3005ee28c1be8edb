-- set_state
UPDATE subscriptions
SET state = $1,
    failures = 0,
    next_attempt_at = now(),
    last_error = NULL,
    updated_at = now()
WHERE name = $2
