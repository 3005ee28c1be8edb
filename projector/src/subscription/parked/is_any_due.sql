-- is_any_due
SELECT EXISTS (
    SELECT
    FROM subscription_parked
    WHERE subscription = $1 AND next_attempt_at <= now()
)
