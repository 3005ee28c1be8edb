-- skipped_due
-- Which listeners have a parked event that an operator has made due, at whatever time: see claim_skipped.
SELECT name
FROM unnest($1) AS name
WHERE (
    -- ORDER BY can use only the index of events that are due.
    SELECT true
    FROM subscription_parked
    WHERE subscription = name AND next_attempt_at IS NOT NULL
    ORDER BY next_attempt_at, id
    LIMIT 1
) IS NOT NULL
