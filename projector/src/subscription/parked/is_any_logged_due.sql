-- is_any_logged_due
-- ORDER BY can use only the index of events that are due: others may be left for an operator, in any number.
SELECT (
    SELECT true
    FROM subscription_parked
    WHERE subscription = $1 AND next_attempt_at <= now()
    ORDER BY next_attempt_at, id
    LIMIT 1
) IS NOT NULL
