-- park_again
-- Records that parked events failed again. This transaction has claimed them, so nobody can update them, and their ctid
-- stays. The planner never turns a LATERAL subquery that locks rows into a join: so no plan reads the whole table, not
-- even one that was made while it was empty.
UPDATE parked_events
SET attempts = failed.attempts,
    error = failed.error,
    next_attempt_at = failed.next_attempt_at
FROM (
    SELECT event.ctid, event.next_attempt_at, t.attempts, t.error
    FROM unnest($1, $2, $3, $4) AS t (id, attempts, error, retry_in_ms)
    CROSS JOIN LATERAL (
        SELECT known.ctid, now() + t.retry_in_ms * interval '1 millisecond' AS next_attempt_at
        FROM parked_events AS known
        WHERE known.id = t.id
        FOR UPDATE
    ) AS event
) AS failed
WHERE parked_events.ctid = failed.ctid
