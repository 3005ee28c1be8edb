-- leave_for_operator
UPDATE subscription_parked
SET attempts = least(attempts, 2147483646) + 1,
    error = $1,
    next_attempt_at = NULL
WHERE id = $2
