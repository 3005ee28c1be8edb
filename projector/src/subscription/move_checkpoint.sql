-- move_checkpoint
UPDATE subscriptions
SET checkpoint = $1,
    history = $2,
    failures = 0,
    last_error = NULL,
    updated_at = now()
WHERE name = $3
