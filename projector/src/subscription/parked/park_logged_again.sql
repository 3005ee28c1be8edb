-- park_logged_again
-- Records that parked events of a subscription failed again.
UPDATE subscription_parked
SET attempts = t.attempts,
    error = t.error,
    next_attempt_at = now() + t.retry_in_ms * interval '1 millisecond'
FROM unnest($1, $2, $3, $4) AS t (id, attempts, error, retry_in_ms)
WHERE subscription_parked.id = t.id
