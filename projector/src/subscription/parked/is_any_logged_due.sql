-- is_any_logged_due
-- ORDER BY can use only the index of events that are due: others may be left for an operator, in any number.
WITH input AS MATERIALIZED (
    SELECT $1::text AS subscription, now() + $2 * interval '1 millisecond' AS latest
)
SELECT
    (
        SELECT true
        FROM subscription_parked
        WHERE subscription = (SELECT subscription FROM input) AND next_attempt_at <= now()
        ORDER BY next_attempt_at, id
        LIMIT 1
    ) IS NOT NULL
    -- No pause lasts that long: the clock was ahead.
    OR (
        SELECT true
        FROM subscription_parked
        WHERE subscription = (SELECT subscription FROM input) AND next_attempt_at > (SELECT latest FROM input)
        ORDER BY next_attempt_at, id
        LIMIT 1
    ) IS NOT NULL
