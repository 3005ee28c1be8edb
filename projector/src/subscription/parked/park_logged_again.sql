-- park_logged_again
-- Records that parked events of a subscription failed again. This transaction has claimed them, so nobody can update
-- them, and their ctid stays. BETWEEN with ORDER BY can use only the primary key, also in a plan that was made while
-- the table was empty.
UPDATE subscription_parked
SET attempts = failed.attempts,
    error = failed.error,
    next_attempt_at = failed.next_attempt_at
FROM (
    SELECT event.ctid, event.next_attempt_at, t.attempts, t.error
    FROM unnest($1, $2, $3, $4) AS t (id, attempts, error, retry_in_ms)
    CROSS JOIN LATERAL (
        SELECT known.ctid, now() + t.retry_in_ms * interval '1 millisecond' AS next_attempt_at
        FROM subscription_parked AS known
        WHERE known.id BETWEEN t.id AND t.id
        ORDER BY known.id
        LIMIT 1
        FOR UPDATE
    ) AS event
) AS failed
WHERE subscription_parked.ctid = failed.ctid
