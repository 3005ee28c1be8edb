-- recover_subscriptions
-- After a success. Not at each one: a new version of the row would be left behind.
UPDATE subscriptions
SET failures = 0,
    last_error = NULL,
    updated_at = now()
WHERE name = ANY($1)
